/** The public functions of the other entry points refuse a wrong argument with a `SessionError`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as ai from "../../src/adapters/ai.ts";
import * as claude from "../../src/adapters/claude.ts";
import * as langchain from "../../src/adapters/langchain.ts";
import * as langgraph from "../../src/adapters/langgraph.ts";
import * as mcp from "../../src/adapters/mcp.ts";
import * as openaiAgents from "../../src/adapters/openai-agents.ts";
import * as openai from "../../src/adapters/openai.ts";
import * as replay from "../../src/adapters/replay.ts";
import * as assistantUi from "../../src/client/assistant-ui.ts";
import * as hosts from "../../src/host/index.ts";
import { Host, startHost } from "../../src/host/index.ts";
import * as server from "../../src/server/index.ts";
import * as postgres from "../../src/store/postgres/index.ts";
import * as telemetry from "../../src/telemetry/index.ts";
import { leftOut } from "../frameworks/install.ts";
import { inMemory, type InMemory } from "../support/in-memory.ts";
import { functionsOf, methodsOf, walk, type Calls } from "./walk.ts";

/** Packages that a door loads when it is used. */
const peers: Readonly<Record<string, string>> = {
  "perdure/claude": "claude",
  ClaudeStore: "claude",
  "perdure/mcp": "mcp",
};
/** Why this run has no package of a door, false where it has it. */
const withoutPeer = (door: string): string | false => (door in peers ? leftOut(peers[door] ?? "") : false);
for (const folder of new Set(Object.values(peers)))
  if (leftOut(folder) === false) await import(`../frameworks/${folder}/resolve.ts`);

const runtime = { onMessage: () => 1 };
const conversation = { id: "c", messages: [], instructions: undefined, exchanges: [] };
const url = "postgres://localhost:1/nothing?connectTimeout=1&deadline=1&attempt=1";

const hostOf = async ({ sessions }: InMemory): Promise<Host> => {
  await sessions.create({ id: "s" });
  return await startHost(sessions, { runtime });
};

const ofHost: Calls<InMemory> = {
  send: async (place) => ({ of: await hostOf(place), args: ["s", "hello"] }),
  start: async (place) => ({ of: await hostOf(place), args: ["s"] }),
  ensure: async (place) => ({ of: await hostOf(place), args: ["s", { agent: "assistant", ttl: "1h" }] }),
  stop: async (place) => ({ of: await hostOf(place), args: ["s"] }),
  kill: async (place) => ({ of: await hostOf(place), args: ["s"] }),
  remove: async (place) => ({ of: await hostOf(place), args: ["s"] }),
  updateActivity: async (place) => ({ of: await hostOf(place), args: ["s", { durationMs: 1 }] }),
  terminateIdle: async (place) => ({ of: await hostOf(place), args: [{ idleFor: "1h" }] }),
  recover: async (place) => ({ of: await hostOf(place), args: [{ include: "stopped" }] }),
  get: async (place) => ({ of: await hostOf(place), args: ["s"] }),
  live: async (place) => ({ of: await hostOf(place), args: ["s"] }),
  each: async (place) => ({ of: await hostOf(place), args: [] }),
  list: async (place) => ({ of: await hostOf(place), args: [{ limit: 1, after: "a" }] }),
  metrics: async (place) => ({ of: await hostOf(place), args: [] }),
  gauges: async (place) => ({ of: await hostOf(place), args: [] }),
  close: async (place) => ({ of: await hostOf(place), args: [] }),
};

const doors: Readonly<Record<string, readonly [module: object, calls: Calls<InMemory>]>> = {
  "perdure/host": [
    hosts,
    {
      startHost: ({ sessions }) => ({
        of: hosts,
        args: [sessions, { runtime, restart: {}, maxSessions: 1, stopTimeout: "1s", isolation: "inline" }],
      }),
    },
  ],
  "perdure/server": [
    server,
    {
      createServer: ({ sessions }) => ({ of: server, args: [{ sessions, rates: {}, streams: {}, keys: [] }] }),
      listen: ({ sessions }) => ({ of: server, args: [server.createServer({ sessions }), { port: 0 }] }),
    },
  ],
  "perdure/postgres": [
    postgres,
    {
      openPostgres: () => ({ of: postgres, args: [{ url, migrate: false }] }),
      migratePostgres: () => ({ of: postgres, args: [{ url }] }),
      postgresSchemaScript: () => ({ of: postgres, args: [{ schema: "s" }] }),
    },
  ],
  "perdure/openai": [
    openai,
    { openaiModel: () => ({ of: openai, args: [{ baseURL: "http://localhost:1/v1", model: "m", maxRetries: 1 }] }) },
  ],
  "perdure/replay": [
    replay,
    {
      parseConversations: () => ({ of: replay, args: ["", "file"] }),
      readConversations: () => ({ of: replay, args: [import.meta.dirname] }),
      replayModel: () => ({ of: replay, args: [{ conversation, delayMs: 0, pieceLength: 1 }] }),
    },
  ],
  "perdure/opentelemetry": [telemetry, { instrument: () => ({ of: telemetry, args: [{}] }) }],
  "perdure/ai": [
    ai,
    {
      aiModel: () => ({ of: ai, args: [() => 1, { model: "m" }] }),
      chats: ({ sessions }) => ({ of: ai, args: [sessions, { tools: {}, dataSchemas: {} }] }),
      createResumableStreamContext: ({ sessions }) => ({ of: ai, args: [{ sessions, waitUntil: null }] }),
      createResumableStreamStore: ({ sessions }) => ({ of: ai, args: [sessions] }),
    },
  ],
  "perdure/assistant-ui": [
    assistantUi,
    {
      assistantHistory: ({ sessions }) => ({ of: assistantUi, args: [sessions, "t"] }),
      assistantSession: ({ sessions }) => ({ of: assistantUi, args: [sessions, "t", { agent: "a", model: "m" }] }),
      assistantThreads: ({ sessions }) => ({
        of: assistantUi,
        args: [sessions, { user: "ada", labels: {}, limit: 1, titleOf: () => "t" }],
      }),
    },
  ],
  "perdure/claude": [claude, { claudeStore: ({ sessions }) => ({ of: claude, args: [sessions, { user: "ada" }] }) }],
  "perdure/langchain": [langchain, { chatHistory: ({ sessions }) => ({ of: langchain, args: [sessions, "s"] }) }],
  "perdure/langgraph": [
    langgraph,
    {
      perdureSaver: ({ sessions }) => ({ of: langgraph, args: [sessions, { onFork: "keep" }] }),
      perdureStore: ({ sessions }) => ({ of: langgraph, args: [sessions] }),
      perdureCache: ({ sessions }) => ({ of: langgraph, args: [sessions] }),
    },
  ],
  "perdure/mcp": [
    mcp,
    { createMcpServer: ({ sessions }) => ({ of: mcp, args: [{ sessions, keys: [], hosts: ["a"] }] }) },
  ],
  "perdure/openai-agents": [
    openaiAgents,
    {
      openaiSession: ({ sessions }) => ({
        of: openaiAgents,
        args: [sessions, "s", { user: "ada", onConflict: "append", compact: () => null }],
      }),
    },
  ],
};

const transcript = { projectKey: "p", sessionId: "11111111-1111-4111-8111-111111111111" };
const claudeStoreOf = ({ sessions }: InMemory): claude.ClaudeStore => claude.claudeStore(sessions);
const ofClaude: Calls<InMemory> = Object.fromEntries(
  Object.entries({
    append: [transcript, [{ type: "user", uuid: "u1" }]],
    load: [transcript],
    listSessions: ["p"],
    listSessionSummaries: ["p"],
    delete: [transcript],
    listSubkeys: [transcript],
  }).map(([name, args]) => [name, (place: InMemory) => ({ of: claudeStoreOf(place), args })]),
);

const item = { type: "message", role: "user", content: "q" };
const ofAgents: Calls<InMemory> = Object.fromEntries(
  Object.entries({
    getSessionId: [],
    getItems: [1],
    addItems: [[item]],
    popItem: [],
    clearSession: [],
    replaceHistoryWithCompaction: [[item]],
    applyHistoryMutations: [{ mutations: [{ type: "replace_function_call", callId: "c", replacement: item }] }],
    applyHistoryTransaction: [{ operationId: "o", transaction: { type: "append_items", items: [item] } }],
    pause: ["state", { reason: "approval", expires: "1h" }],
    resume: [() => 1],
    exclusive: [() => Promise.resolve(1), { busy: "reject", wait: "1s" }],
    durable: [{ run: () => Promise.resolve(1), on: () => 1, config: {} }],
    answeringAgent: [],
  }).map(([name, args]) => [
    name,
    async ({ sessions }: InMemory) => ({ of: await openaiAgents.openaiSession(sessions, "s"), args }),
  ]),
);

const classes = {
  ClaudeStore: [claude.ClaudeStore, ofClaude],
  OpenAiSession: [openaiAgents.OpenAiSession, ofAgents],
} as const;

for (const [name, [type, calls]] of Object.entries(classes)) {
  test(`every function of ${name} is walked`, () => {
    assert.deepEqual(methodsOf(type).toSorted(), Object.keys(calls).toSorted());
  });
  for (const [method, make] of Object.entries(calls))
    test(`${name}: ${method} refuses wrong arguments`, { skip: withoutPeer(name) }, async () => {
      await walk(inMemory, method, make);
    });
}

test("every function of Host is walked", () => {
  assert.deepEqual(methodsOf(Host).toSorted(), Object.keys(ofHost).toSorted());
});
for (const [method, make] of Object.entries(ofHost))
  test(`Host: ${method} refuses wrong arguments`, async () => await walk(inMemory, method, make));
for (const [name, [module, calls]] of Object.entries(doors)) {
  test(`every function of ${name} is walked`, () => {
    assert.deepEqual(functionsOf(module).toSorted(), Object.keys(calls).toSorted());
  });
  for (const [method, make] of Object.entries(calls))
    test(`${name}: ${method} refuses wrong arguments`, { skip: withoutPeer(name) }, async () => {
      await walk(inMemory, method, make);
    });
}
