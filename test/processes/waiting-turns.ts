/** Work of a process on turns that wait: it asks, waits, approves and resumes, and is killed meanwhile. */
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { hasCode, withTools, type Model, type Session, type Sessions } from "../../src/index.ts";

export type WaitingTask =
  /** Ask questions whose tool needs approval, approve them, and record each run of the tool in a file, without end. */
  | { readonly kind: "approvals"; readonly session: string; readonly name: string; readonly effects: string }
  /** Let turns wait, resume and seal them, without end. */
  | { readonly kind: "waits"; readonly session: string; readonly name: string }
  /** Resume each turn of the session that waits, as soon as it is found, without end. */
  | { readonly kind: "resume"; readonly session: string; readonly name: string };

/** A model that calls the tool `act` with the text of the question as the id of the call, and answers with the result. */
const caller: Model = async function* caller({ messages }) {
  await sleep(1);
  const last = messages.at(-1);
  if (last?.role === "tool") {
    yield { type: "text", text: "It is done." };
    return;
  }
  const id = String(last?.content);
  yield { type: "text", text: "Let me ask. " };
  const call = { id, function: { name: "act", arguments: "{}" } };
  yield { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
};

/** The model with its tool, which needs approval and appends the id of the call to the file. */
export function actingModel(session: Session, effects: string): Model {
  const act = {
    name: "act",
    description: "acts",
    parameters: { type: "object", properties: {} },
    approve: true,
    run: async (_args: unknown, { callId }: { readonly callId: string }) => {
      appendFileSync(effects, `${callId}\n`);
      await sleep(1);
      return "acted";
    },
  };
  return withTools(caller, [act], { session });
}

export async function workOnWaiting(
  sessions: Sessions,
  task: WaitingTask,
  say: (what: object) => void,
): Promise<never> {
  const session = await sessions.ensure(task.session);
  switch (task.kind) {
    case "approvals":
      return await approvals(session, task, say);
    case "waits":
      return await waits(session, task, say);
    case "resume":
      return await resume(session, task, say);
  }
}

async function approvals(
  session: Session,
  { name, effects }: Extract<WaitingTask, { kind: "approvals" }>,
  say: (what: object) => void,
): Promise<never> {
  const model = actingModel(session, effects);
  for (let count = 0; ; count++) {
    const key = `${name}-${count}`;
    await session.refresh();
    await (
      await session.consult(key, { key, model })
    ).done;
    say({ waiting: key });
    const waiting = await session.waiting();
    if (waiting === null) throw new Error("the turn does not wait");
    say({ approving: key });
    await (
      await session.approve(waiting.token, { [key]: true }, { model })
    ).done;
    say({ done: key });
  }
}

async function waits(
  session: Session,
  { name }: Extract<WaitingTask, { kind: "waits" }>,
  say: (what: object) => void,
): Promise<never> {
  for (let count = 0; ; count++) {
    const key = `${name}-${count}`;
    await session.refresh();
    const turn = await session.begin(key, { key, flush: { ms: 1 } });
    await turn.write({ text: "before, " });
    const { token } = await turn.wait({ state: { key }, reason: "approval" });
    say({ waiting: key });
    const resumed = await session.resume(token);
    say({ resumed: key });
    await resumed.write({ text: "after" });
    await resumed.seal();
    say({ done: key });
  }
}

async function resume(
  session: Session,
  { name }: Extract<WaitingTask, { kind: "resume" }>,
  say: (what: object) => void,
): Promise<never> {
  say({ looks: 1 });
  for (;;) {
    const waiting = await session.waiting();
    if (waiting === null) {
      await sleep(1);
      continue;
    }
    const { token } = waiting;
    try {
      const turn = await session.resume(token);
      say({ won: token });
      await turn.write({ text: name });
      await turn.seal();
      say({ sealed: token });
    } catch (error) {
      if (!hasCode(error, "turn_not_waiting")) throw error;
      say({ lost: token });
    }
  }
}
