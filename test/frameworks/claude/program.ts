/** The store with the program that the SDK starts, which asks a scripted model on this machine. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { query } from "@anthropic-ai/claude-agent-sdk";
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { claudeStore } from "../../../src/adapters/claude.ts";
import type { Session, Sessions } from "../../../src/index.ts";
import { inMemory } from "../../support/in-memory.ts";

const pathToClaudeCodeExecutable = process.env["PERDURE_CLAUDE_PROGRAM"] ?? "";
const skip = pathToClaudeCodeExecutable === "" && "PERDURE_CLAUDE_PROGRAM names no program";

interface Asked {
  readonly messages: readonly { readonly role: string; readonly content: unknown }[];
  readonly model: string;
}

/** The Messages API of a model that counts its answers, and what it was asked. */
async function scriptedModel(context: TestContext): Promise<{ readonly url: string; readonly asked: Asked[] }> {
  const asked: Asked[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = JSON.parse(await text(request)) as Asked;
    asked.push(body);
    const usage = { input_tokens: 11, cache_read_input_tokens: 3, cache_creation_input_tokens: 2, output_tokens: 1 };
    const id = `msg_${asked.length}`;
    const message = { id, type: "message", role: "assistant", model: body.model, content: [], usage };
    const delta = { stop_reason: "end_turn", stop_sequence: null };
    const events: readonly { readonly type: string; readonly [field: string]: unknown }[] = [
      { type: "message_start", message: { ...message, stop_reason: null, stop_sequence: null } },
      { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: `Answer ${asked.length}` } },
      { type: "content_block_stop", index: 0 },
      { type: "message_delta", delta, usage: { output_tokens: 7 } },
      { type: "message_stop" },
    ];
    response.setHeader("content-type", "text/event-stream");
    response.end(events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(""));
  };
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, "127.0.0.1");
  context.after(() => server.close());
  await once(server, "listening");
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

/** Runs the program in a home of its own, where no file of an earlier run is. Returns the id of its session. */
async function run(
  sessions: Sessions,
  prompt: string,
  { url, cwd, ...how }: { url: string; cwd: string; resume?: string; forkSession?: boolean },
): Promise<string> {
  const home = mkdtempSync(join(tmpdir(), "perdure-claude-"));
  try {
    const env = {
      PATH: process.env["PATH"],
      HOME: home,
      CLAUDE_CONFIG_DIR: join(home, "claude"),
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_API_KEY: "scripted",
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    };
    const options = { sessionStore: claudeStore(sessions), cwd, env, pathToClaudeCodeExecutable, tools: [] };
    const more = { ...options, settingSources: [], maxTurns: 1, ...how };
    let id = "";
    for await (const message of query({ prompt, options: more }))
      if (message.type === "result") {
        assert.equal(message.subtype, "success");
        id = message.session_id;
      }
    return id;
  } finally {
    rmSync(home, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** The texts and the tokens of each turn. */
const said = async (session: Session): Promise<readonly unknown[]> =>
  (await Array.fromAsync(session.turns())).map(({ input, output, usage }) => [
    ...[...input, ...output].map(({ content }) => content),
    usage?.totalTokens,
  ]);

/** The texts of the messages of a request; those of the system are the program's own. */
const textsOf = ({ messages }: Asked): readonly unknown[] =>
  messages
    .filter(({ role }) => role !== "system")
    .flatMap(({ content }) =>
      typeof content === "string"
        ? content
        : (content as readonly { readonly text?: string }[]).map((part) => part.text),
    );

test(
  "the program resumes and forks a session without its file, and goes on from the turns of others",
  { skip },
  async (context) => {
    await using place = inMemory();
    const cwd = mkdtempSync(join(tmpdir(), "perdure-claude-"));
    context.after(() => rmSync(cwd, { recursive: true, force: true }));
    const { url, asked } = await scriptedModel(context);
    const resume = await run(place.sessions, "Where is it?", { url, cwd });
    const [info] = (await place.sessions.list()).items;
    const session = await place.sessions.get(info!.id);
    await session.append({ input: "And the other?", output: "It is lost." });
    assert.equal(await run(place.sessions, "Thanks.", { url, cwd, resume }), resume);
    const before = ["Where is it?", "Answer 1", "And the other?", "It is lost."];
    assert.deepEqual(textsOf(asked.at(-1)!), [...before, "Thanks."]);
    await session.refresh();
    const turns = [
      ["Where is it?", "Answer 1", 23],
      ["And the other?", "It is lost.", undefined],
      ["Thanks.", "Answer 2", 23],
    ];
    assert.deepEqual(await said(session), turns);
    const [first] = await Array.fromAsync(session.turns({ last: 1 }));
    assert.equal(first?.model, asked[0]?.model);
    const fork = await run(place.sessions, "In a fork?", { url, cwd, resume, forkSession: true });
    assert.notEqual(fork, resume);
    assert.deepEqual(textsOf(asked.at(-1)!), [...before, "Thanks.", "Answer 2", "In a fork?"]);
    const forked = await place.sessions.get(info!.id.replace(resume, fork));
    assert.deepEqual(await said(forked), [
      ...turns.map(([question, answer]) => [question, answer, undefined]),
      ["In a fork?", "Answer 3", 23],
    ]);
  },
);
