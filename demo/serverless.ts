/** A chat on a serverless host: every request runs in a new process, and each process continues the conversation. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Conversation } from "../src/adapters/replay.ts";
import { chat, type Chat } from "../src/client/index.ts";
import type { ChatServerInput } from "./chat-server.ts";

type Say = (who: string | number, text: string) => void;

/** Throws where a promise is broken. */
export async function serverlessChat(input: ChatServerInput, { exchanges }: Conversation, say: Say): Promise<void> {
  const [phone, laptop] = [randomUUID(), randomUUID()];
  const questions = exchanges.slice(0, 3).map(({ input: messages }) => messages);
  for (const [index, question] of questions.entries()) {
    await inFreshProcess(input, phone, async (mine, pid) => {
      const turn = await (await mine.say(question)).done;
      expect(turn.seq === index + 1, `turn ${turn.seq} where ${index + 1} was expected`);
      say(pid, `answers message ${index + 1} of the phone, and exits`);
    });
  }
  await inFreshProcess(input, phone, async (mine, pid) => {
    await mine.handOff("scheduling", { ttl: "1h" });
    say(pid, "hands off to scheduling for an hour");
  });
  const code = await inFreshProcess(input, phone, async (mine, pid) => {
    const active = await mine.activeAgent();
    expect(active?.agent === "scheduling", "the handoff is lost");
    const { code } = await mine.linkCode();
    say(pid, `knows that ${active?.agent} is the active agent, and shows the code ${code}`);
    return code;
  });
  await inFreshProcess(input, laptop, async (mine, pid) => {
    expect((await Array.fromAsync(mine.turns())).length === 0, "a device sees another's chat");
    await mine.link(code);
    const turns = await Array.fromAsync(mine.turns());
    expect(turns.length === questions.length, "the shared chat is not whole");
    say(pid, `lets the laptop, which saw nothing before, share all ${turns.length} turns for the code`);
  });
}

async function inFreshProcess<T>(
  input: ChatServerInput,
  device: string,
  work: (mine: Chat, pid: number) => Promise<T>,
): Promise<T> {
  const program = fileURLToPath(new URL("chat-server.ts", import.meta.url));
  const child = spawn(process.execPath, [program, JSON.stringify(input)], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  try {
    const [url] = (await once(createInterface(child.stdout), "line")) as [string];
    return await work(chat({ url, device }), child.pid ?? 0);
  } finally {
    child.kill("SIGTERM");
    await exited;
  }
}

function expect(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(`broken promise: ${otherwise}`);
}
