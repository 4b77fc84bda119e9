/** Every public function of the library refuses a wrong argument with a `SessionError`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as admin from "../../src/admin.ts";
import * as library from "../../src/index.ts";
import {
  Conversations,
  Devices,
  Documents,
  Keys,
  Session,
  SessionLease,
  SessionLog,
  Sessions,
  StreamProducer,
  Streams,
  TurnInProgress,
} from "../../src/index.ts";
import { inMemory, type InMemory } from "../support/in-memory.ts";
import { ObjectStore } from "../support/object-store.ts";
import { functionsOf, methodsOf, walk, type Calls } from "./walk.ts";

const device = "0b9c8d5e-4c3f-4f0e-9a51-2f6f3f1d7a10";
const other = "0b9c8d5e-4c3f-4f0e-9a51-2f6f3f1d7a11";
const stopped = (): AbortSignal => AbortSignal.abort();

function open(): InMemory {
  return inMemory({
    secret: "s".repeat(20),
    attachments: { in: new ObjectStore() },
    agents: { a: { description: "answers", default: true }, b: { description: "answers" } },
    model: async function* () {
      yield { type: "text", text: "text" };
    },
  });
}

/** Calls the tool `look` once. */
const callingModel: library.Model = async function* ({ messages }) {
  if (messages.some(({ role }) => role === "tool")) yield { type: "text", text: "text" };
  const call = { id: "call", function: { name: "look", arguments: "{}" } };
  yield { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
};
const tool: library.Tool = { name: "look", description: "looks", parameters: {}, run: () => 1 };

const session = async ({ sessions }: InMemory): Promise<Session> => await sessions.create({ id: "s" });
/** A session with two turns, of which the second one has two versions. */
const branched = async (place: InMemory): Promise<Session> => {
  const created = await session(place);
  for (const input of ["one", "two"]) await created.append({ input });
  const { version } = await created.look();
  await created.write({ turns: { from: 2, turns: [{ input: "two again" }], keep: true }, onto: version });
  await created.refresh();
  return created;
};
const begun = async (place: InMemory): Promise<TurnInProgress> => await (await session(place)).begin("q");
const producer = async (place: InMemory): Promise<StreamProducer> => {
  const { sessions } = place;
  await session(place);
  const acquired = await sessions.streams.acquire("run", { session: "s" });
  if (acquired.role !== "producer") throw new Error("the stream is new");
  return acquired.stream;
};

const onProgress = (): undefined => undefined;
const ofNew = {
  agent: "a",
  user: "ada",
  title: "t",
  labels: { l: "v" },
  metadata: { m: 1 },
  instructions: "i",
  ttl: "1h",
  maxAge: "1d",
  budget: { tokens: 1000 },
};
const ofSelection = {
  state: "active",
  user: "ada",
  agent: "a",
  labels: { l: "v" },
  waiting: true,
  activeSince: new Date(0),
  activeBefore: new Date(1),
  createdSince: new Date(0),
  createdBefore: new Date(1),
};
const ofEvents = { session: "s", agent: "a", type: ["created"], since: new Date(0), before: new Date(1) };
const ofTurnInput = {
  input: "q",
  output: [{ role: "assistant", content: "a" }],
  agent: "a",
  model: "m",
  usage: { inputTokens: 1 },
  durationMs: 1,
  requests: 1,
  status: "done",
  finish: "stop",
};
const ofConsult = (): object => ({
  model: callingModel,
  settings: {},
  window: 5,
  withdraw: new AbortController().signal,
  key: "k",
  after: 0,
  agent: "a",
  busy: "queue",
  route: () => ({ agent: "a", becomesActive: false }),
  flush: { ms: 1 },
});
const ofWrite = {
  turns: { turns: [{ input: "q" }] },
  logs: { jobs: { entries: [{ value: 1 }] } },
  set: { title: "t" },
  documents: [{ scope: "d", key: "k", value: 1 }],
  onto: 1,
};
const ofSeal = {
  status: "failed",
  output: [],
  usage: { inputTokens: 1 },
  agent: "a",
  model: "m",
  requests: 1,
  steps: [],
  finish: "stop",
  error: { code: "c", message: "m" },
};
const ofOpen = {
  tenant: "t",
  agents: { a: {} },
  model: callingModel,
  secret: "s".repeat(20),
  previousSecrets: [],
  deviceIds: "uuid",
  ttl: "1h",
  maxAge: "1d",
  ttlOfUser: () => undefined,
  handoffTtl: "1h",
  handoffTtlOfUser: () => undefined,
  budget: {},
  window: 5,
  budgets: {},
  busy: "queue",
  wait: "1s",
  staleAfter: "1m",
  sweep: false,
  retention: [],
  limits: {},
  clock: library.systemClock,
  fallback: "stateless",
};

const ofSessions: Calls<InMemory> = {
  for: ({ sessions }) => ({ of: sessions, args: ["t"] }),
  share: async (place) => (await session(place), { of: place.sessions, args: ["s", { ttl: "1h" }] }),
  shares: async (place) => (await session(place), { of: place.sessions, args: ["s"] }),
  unshare: ({ sessions }) => ({ of: sessions, args: ["s"] }),
  openShare: async (place) => {
    await session(place);
    return { of: place.sessions, args: [(await place.sessions.share("s")).token] };
  },
  conversations: ({ sessions }) => ({ of: sessions, args: [{ user: "ada" }] }),
  documents: ({ sessions }) => ({ of: sessions, args: ["scope"] }),
  create: ({ sessions }) => ({ of: sessions, args: [{ id: "s", ...ofNew }] }),
  ensure: ({ sessions }) => ({ of: sessions, args: ["s", { ...ofNew, onExpired: "fail" }] }),
  get: async (place) => (await session(place), { of: place.sessions, args: ["s", {}] }),
  look: async (place) => (await session(place), { of: place.sessions, args: ["s", [{ log: "turns", last: 1 }]] }),
  list: ({ sessions }) => ({ of: sessions, args: [{ limit: 1, order: "id", ...ofSelection }] }),
  each: ({ sessions }) => ({ of: sessions, args: [ofSelection] }),
  search: ({ sessions }) => ({
    of: sessions,
    args: [
      {
        text: "a",
        agent: "ceo",
        user: "u",
        labels: { topic: "x" },
        state: "active",
        since: new Date(0),
        before: new Date(1e12),
        limit: 1,
        waitMs: 0,
        onProgress: () => undefined,
        signal: new AbortController().signal,
      },
    ],
  }),
  listEvents: ({ sessions }) => ({ of: sessions, args: [{ limit: 1, order: "ascending", ...ofEvents }] }),
  eachEvent: ({ sessions }) => ({ of: sessions, args: [{ follow: false, ...ofEvents }] }),
  news: ({ sessions }) => ({ of: sessions, args: [{ signal: stopped() }] }),
  snapshot: async (place) => (await session(place), { of: place.sessions, args: ["s"] }),
  restore: async (place) => {
    await session(place);
    return { of: place.sessions, args: [await place.sessions.snapshot("s"), { onExists: "replace" }] };
  },
  count: ({ sessions }) => ({ of: sessions, args: [ofSelection] }),
  write: async (place) => {
    await session(place);
    return { of: place.sessions, args: [[{ id: "s", logs: { jobs: { entries: [{ value: 1 }] } } }]] };
  },
  health: ({ sessions }) => ({ of: sessions, args: [] }),
  close: ({ sessions }) => ({ of: sessions, args: [] }),
};

const ofSession: Calls<InMemory> = {
  refresh: async (place) => ({ of: await session(place), args: [] }),
  append: async (place) => ({ of: await session(place), args: [ofTurnInput, { key: "k" }] }),
  begin: async (place) => ({ of: await session(place), args: ["q", { key: "k", agent: "a", flush: { ms: 1 } }] }),
  consult: async (place) => ({ of: await session(place), args: ["q", ofConsult()] }),
  running: async (place) => ({ of: await session(place), args: [] }),
  cancel: async (place) => ({ of: await session(place), args: [{ key: "k" }] }),
  turns: async (place) => ({ of: await session(place), args: [{ from: 1, to: 2, onUnreadable: () => undefined }] }),
  messages: async (place) => ({ of: await session(place), args: [{ last: 1, as: "openai" }] }),
  watch: async (place) => ({ of: await session(place), args: [{ signal: stopped() }] }),
  instructions: async (place) => ({ of: await session(place), args: [] }),
  branches: async (place) => ({ of: await branched(place), args: [{ at: 2 }] }),
  switchTo: async (place) => ({ of: await branched(place), args: ["1"] }),
  compare: async (place) => ({ of: await branched(place), args: ["1", "2"] }),
  removeBranch: async (place) => ({ of: await branched(place), args: ["1"] }),
  edit: async (place) => ({ of: await branched(place), args: [1, "q", { model: callingModel }] }),
  regenerate: async (place) => ({ of: await branched(place), args: [{ turn: 1, model: callingModel }] }),
  truncate: async (place) => ({ of: await session(place), args: [0] }),
  summarize: async (place) => ({
    of: await session(place),
    args: [{ to: 1, agent: "a", summarizer: () => Promise.resolve("text") }],
  }),
  summaries: async (place) => ({ of: await session(place), args: [] }),
  memory: async (place) => ({ of: await session(place), args: [] }),
  pin: async (place) => ({ of: await session(place), args: [1] }),
  unpin: async (place) => ({ of: await session(place), args: [1] }),
  leaveOut: async (place) => ({ of: await session(place), args: [1] }),
  takeIn: async (place) => ({ of: await session(place), args: [1] }),
  rate: async (place) => ({ of: await session(place), args: [1, { rating: "up", comment: "c", by: "ada" }] }),
  ratings: async (place) => ({ of: await session(place), args: [{ turn: 1 }] }),
  update: async (place) => ({ of: await session(place), args: [{ ...ofNew, instructions: "i" }] }),
  handOff: async (place) => ({ of: await session(place), args: ["a", { ttl: "1h", note: "n" }] }),
  activeAgent: async (place) => ({ of: await session(place), args: [] }),
  endHandoff: async (place) => ({ of: await session(place), args: [] }),
  events: async (place) => ({ of: await session(place), args: [{ last: 1 }] }),
  record: async (place) => ({ of: await session(place), args: [{ type: "app.seen", data: {}, severity: "info" }] }),
  touch: async (place) => ({ of: await session(place), args: [] }),
  lease: async (place) => ({ of: await session(place), args: [{ ttl: "1m", wait: "1s" }] }),
  exclusive: async (place) => ({ of: await session(place), args: [() => 1, { busy: "queue", wait: "1s" }] }),
  turnByKey: async (place) => ({ of: await session(place), args: ["k"] }),
  write: async (place) => ({ of: await session(place), args: [ofWrite] }),
  look: async (place) => ({ of: await session(place), args: [[{ log: "turns", last: 1 }]] }),
  log: async (place) => ({ of: await session(place), args: ["jobs"] }),
  waiting: async (place) => ({ of: await session(place), args: [] }),
  resume: async (place) => ({ of: await session(place), args: ["token"] }),
  sealWaiting: async (place) => ({ of: await session(place), args: ["token", {}] }),
  approve: async (place) => {
    const approving = await session(place);
    const model = library.withTools(callingModel, [{ ...tool, approve: true }], { session: approving });
    await (
      await approving.consult("q", { model })
    ).done;
    const { token = "" } = (await approving.waiting()) ?? {};
    return { of: approving, args: [token, { call: true }, { model }] };
  },
  leaseHolder: async (place) => ({ of: await session(place), args: [] }),
  recover: async (place) => ({ of: await session(place), args: [] }),
  breakLease: async (place) => ({ of: await session(place), args: [] }),
  end: async (place) => ({ of: await session(place), args: [{ reason: "r", after: "answer" }] }),
  fork: async (place) => ({ of: await session(place), args: [{ as: "f", at: 0 }] }),
  archive: async (place) => ({ of: await session(place), args: [] }),
  unarchive: async (place) => ({ of: await session(place), args: [] }),
  setLegalHold: async (place) => ({ of: await session(place), args: ["r"] }),
  clearLegalHold: async (place) => ({ of: await session(place), args: [] }),
  remove: async (place) => ({ of: await session(place), args: [] }),
};

const linked = async ({ sessions: { devices } }: InMemory): Promise<Devices> => {
  await devices.open(device);
  await devices.claim(device, "ada");
  return devices;
};

const ofDevices: Calls<InMemory> = {
  open: ({ sessions }) => ({ of: sessions.devices, args: [device, { ttl: "1h" }] }),
  find: ({ sessions }) => ({ of: sessions.devices, args: [device] }),
  seal: ({ sessions }) => ({ of: sessions.devices, args: [device] }),
  unseal: ({ sessions }) => ({ of: sessions.devices, args: [device] }),
  linkCode: async (place) => ({ of: await linked(place), args: [device] }),
  link: async ({ sessions: { devices } }) => {
    await devices.open(device);
    return { of: devices, args: [other, (await devices.linkCode(device)).code, {}] };
  },
  unlink: async (place) => ({ of: await linked(place), args: [device] }),
  listSharing: async (place) => ({ of: await linked(place), args: [device, {}] }),
  eachSharing: async (place) => ({ of: await linked(place), args: [device] }),
  endSharing: async (place) => ({ of: await linked(place), args: [device, other] }),
  signOut: async (place) => ({ of: await linked(place), args: [device, other] }),
  list: async (place) => ({ of: await linked(place), args: ["ada", { limit: 1 }] }),
  each: async (place) => ({ of: await linked(place), args: ["ada"] }),
  claim: ({ sessions }) => ({ of: sessions.devices, args: [device, "ada", {}] }),
  activeAgents: ({ sessions }) => ({ of: sessions.devices, args: [[device]] }),
  handOff: async (place) => ({ of: await linked(place), args: [[device], "a", { ttl: "1h" }] }),
  endHandoffs: async (place) => ({ of: await linked(place), args: [[device]] }),
};

/** A conversation of a user, by its id. */
const conversation = async ({ sessions }: InMemory): Promise<readonly [Conversations, string]> => {
  const conversations = sessions.conversations({ user: "ada" });
  return [conversations, (await conversations.create()).id];
};
const onConversation =
  (...args: readonly unknown[]) =>
  async (place: InMemory): Promise<{ of: Conversations; args: unknown[] }> => {
    const [of, id] = await conversation(place);
    return { of, args: [id, ...args] };
  };

const ofConversations: Calls<InMemory> = {
  list: async (place) => ({ of: (await conversation(place))[0], args: [{ limit: 1 }] }),
  each: async (place) => ({ of: (await conversation(place))[0], args: [] }),
  create: async (place) => ({ of: (await conversation(place))[0], args: [{ title: "t", agent: "a", ttl: "1h" }] }),
  open: onConversation(),
  get: onConversation(),
  rename: onConversation("title"),
  pin: onConversation(),
  unpin: onConversation(),
  remove: onConversation(),
  select: onConversation(),
  search: async (place) => ({ of: (await conversation(place))[0], args: ["text", { limit: 1, waitMs: 0 }] }),
};

const ofDocuments: Calls<InMemory> = {
  get: ({ sessions }) => ({ of: sessions.documents("d"), args: ["k"] }),
  getMany: ({ sessions }) => ({ of: sessions.documents("d"), args: [["k"]] }),
  put: ({ sessions }) => ({ of: sessions.documents("d"), args: ["k", 1, { ttl: "1h", if: "absent", user: "ada" }] }),
  update: ({ sessions }) => ({ of: sessions.documents("d"), args: ["k", () => 1, { ttl: "1h", if: "absent" }] }),
  delete: ({ sessions }) => ({ of: sessions.documents("d"), args: ["k", { if: 1 }] }),
  touch: ({ sessions }) => ({ of: sessions.documents("d"), args: ["k", "1h"] }),
  list: ({ sessions }) => ({ of: sessions.documents("d"), args: [{ limit: 1, prefix: "a", after: "k" }] }),
  each: ({ sessions }) => ({ of: sessions.documents("d"), args: [{ prefix: "a" }] }),
  count: ({ sessions }) => ({ of: sessions.documents("d"), args: [{ prefix: "a" }] }),
  write: ({ sessions }) => ({ of: sessions.documents("d"), args: [[{ key: "k", value: 1 }]] }),
};

const ofKeys: Calls<InMemory> = {
  create: ({ sessions }) => ({ of: sessions.keys, args: [{ name: "k", right: "read", tenant: "t", ttl: "1h" }] }),
  list: ({ sessions }) => ({ of: sessions.keys, args: [{ limit: 1 }] }),
  each: ({ sessions }) => ({ of: sessions.keys, args: [] }),
  revoke: ({ sessions }) => ({ of: sessions.keys, args: ["k"] }),
  verify: ({ sessions }) => ({ of: sessions.keys, args: ["k"] }),
};

const ofStreams: Calls<InMemory> = {
  acquire: ({ sessions }) => ({ of: sessions.streams, args: ["run", { ttl: "1h", session: "s", flush: { ms: 1 } }] }),
  acquireToken: ({ sessions }) => ({ of: sessions.streams, args: ["run", { ttl: "1h", session: "s", lease: "1m" }] }),
  append: async ({ sessions: { streams } }) => {
    const acquired = await streams.acquireToken("run");
    const token = acquired.role === "producer" ? acquired.token : "";
    return { of: streams, args: ["run", { token, after: 0, parts: [{ part: 1 }] }] };
  },
  finish: async ({ sessions }) => {
    const { streams } = sessions;
    await sessions.create({ id: "s" });
    const acquired = await streams.acquireToken("run", { session: "s" });
    const token = acquired.role === "producer" ? acquired.token : "";
    return { of: streams, args: ["run", { token, after: 0, parts: [], append: { input: "q" } }] };
  },
  get: ({ sessions }) => ({ of: sessions.streams, args: ["run"] }),
  list: ({ sessions }) => ({ of: sessions.streams, args: [{ status: ["done"], session: "s", limit: 1 }] }),
  status: ({ sessions }) => ({ of: sessions.streams, args: ["run"] }),
  read: async (place) => (await producer(place), { of: place.sessions.streams, args: ["run", { signal: stopped() }] }),
  active: ({ sessions }) => ({ of: sessions.streams, args: ["s"] }),
  stop: ({ sessions }) => ({ of: sessions.streams, args: ["run"] }),
  delete: ({ sessions }) => ({ of: sessions.streams, args: ["run"] }),
};

const ofProducer: Calls<InMemory> = {
  write: async (place) => ({ of: await producer(place), args: [1, { said: "s" }] }),
  end: async (place) => ({ of: await producer(place), args: [{ append: { input: "q" } }] }),
  fail: async (place) => ({ of: await producer(place), args: ["failed"] }),
};

const ofLog: Calls<InMemory> = {
  entries: async (place) => ({ of: (await session(place)).log("jobs"), args: [{ last: 1 }] }),
  get: async (place) => ({ of: (await session(place)).log("jobs"), args: [["k"]] }),
  between: async (place) => ({ of: (await session(place)).log("jobs"), args: [{ from: "a" }, {}] }),
  follow: async (place) => ({ of: (await session(place)).log("jobs"), args: [{ signal: stopped() }] }),
};

const ofLease: Calls<InMemory> = {
  renew: async (place) => ({ of: await (await session(place)).lease(), args: ["1m"] }),
  release: async (place) => ({ of: await (await session(place)).lease(), args: [] }),
};

const ofTurn: Calls<InMemory> = {
  write: async (place) => ({ of: await begun(place), args: [{ text: "t" }] }),
  wait: async (place) => ({ of: await begun(place), args: [{ reason: "r", state: 1, expires: "1h" }] }),
  seal: async (place) => ({ of: await begun(place), args: [ofSeal] }),
};

const ofLibrary: Calls<InMemory> = {
  folder: () => ({ of: library, args: ["/nowhere/files"] }),
  sharedSessions: () => ({ of: library, args: [{ store: "memory:", ...ofOpen }] }),
  openSessions: () => ({ of: library, args: [{ store: "memory:", ...ofOpen }] }),
  correlated: () => ({ of: library, args: ["id", () => 1] }),
  createManager: ({ sessions }) => ({
    of: library,
    args: [{ sessions, tools: { a: [tool] }, router: () => "a", routerTimeout: "1s", default: "a", stepsMax: 1 }],
  }),
  encodeValue: () => ({ of: library, args: [1] }),
  exchangesOf: () => ({ of: library, args: [[{ role: "user", content: "q" }]] }),
  fromFormat: () => ({ of: library, args: [[{ role: "user", content: "q" }], "openai"] }),
  hasCode: () => ({ of: library, args: [5, "closed"] }),
  idFor: () => ({ of: library, args: ["id"] }),
  instructionsOf: () => ({ of: library, args: [[{ role: "user", content: "q" }]] }),
  parseModelSettings: () => ({
    of: library,
    args: [{ temperature: 1, maxTokens: 1, effort: "low", timeoutMs: 1, body: {} }, "settings"],
  }),
  routeByKeywords: () => ({ of: library, args: [] }),
  routeByModel: () => ({ of: library, args: [{ model: callingModel }] }),
  sameValue: () => ({ of: library, args: [1, 1] }),
  toFormat: () => ({ of: library, args: [[{ role: "user", content: "q" }], "openai"] }),
  withTools: async (place) => ({
    of: library,
    args: [callingModel, [tool], { session: await session(place), stepsMax: 1 }],
  }),
};

const ofAdmin: Calls<InMemory> = {
  backupStore: () => ({
    of: admin,
    args: ["sqlite:/nowhere/store.db", "/nowhere/backup", { limits: {}, onProgress }],
  }),
  copySessions: (place) => ({
    of: admin,
    args: [place.sessions, place.another(), { everything: true, onProgress }],
  }),
  doctor: ({ sessions }) => ({ of: admin, args: [sessions, { repair: false }] }),
  erase: ({ sessions }) => ({ of: admin, args: [sessions, { user: "ada", store: "s", forks: "keep" }] }),
  exportSessions: ({ sessions }) => ({
    of: admin,
    args: [sessions, { ...ofSelection, after: "a", onSkipped: () => 1 }],
  }),
  findReferences: ({ sessions }) => ({ of: admin, args: [sessions, "ada"] }),
  importFiles: ({ sessions }) => ({
    of: admin,
    args: [sessions, [], { dryRun: true, onExists: "skip", agent: "a", formats: [], onProgress }],
  }),
  importSessions: ({ sessions }) => ({
    of: admin,
    args: [sessions, [], { dryRun: true, onExists: "skip", agent: "a", onProgress }],
  }),
  listHosts: ({ sessions }) => ({ of: admin, args: [sessions] }),
  moveAttachments: ({ sessions }) => ({ of: admin, args: [sessions, { to: "sessions" }] }),
  removeSession: async (place) => (await session(place), { of: admin, args: [place.sessions, "s"] }),
  restoreStore: () => ({
    of: admin,
    args: [import.meta.filename, "memory:", { skipDamaged: true, limits: {}, onProgress }],
  }),
  stats: ({ sessions }) => ({ of: admin, args: [sessions, { by: ["agent"], since: new Date(0), limit: 1 }] }),
  sweep: ({ sessions }) => ({
    of: admin,
    args: [sessions, { rows: 1, time: "1s", retention: "1d", eventRetention: "1d", dryRun: true }],
  }),
  verifyErasure: async ({ sessions }) => ({
    of: admin,
    args: [sessions, await admin.erase(sessions, { user: "ada" }), "ada"],
    // A receipt comes from anywhere.
    takes: { 1: ["null", "a number", "a text", "an array", "an array of null", "an array with a hole"] },
  }),
};

/** Functions of classes that the package calls itself. */
const internal: Readonly<Record<string, readonly string[]>> = {
  Conversations: ["guarded", "openOwn", "patch", "createCurrent"],
  SessionLease: ["isIn", "lose", "drop"],
  TurnInProgress: [
    "isUnder",
    "isOf",
    "endsSession",
    "guardTokensLeft",
    "interruption",
    "waitWith",
    "sealTogether",
    "settle",
  ],
};
const classes: Readonly<Record<string, readonly [type: { readonly prototype: object }, calls: Calls<InMemory>]>> = {
  Sessions: [Sessions, ofSessions],
  Session: [Session, ofSession],
  Conversations: [Conversations, ofConversations],
  Devices: [Devices, ofDevices],
  Documents: [Documents, ofDocuments],
  Keys: [Keys, ofKeys],
  Streams: [Streams, ofStreams],
  StreamProducer: [StreamProducer, ofProducer],
  SessionLog: [SessionLog, ofLog],
  SessionLease: [SessionLease, ofLease],
  TurnInProgress: [TurnInProgress, ofTurn],
};

for (const [name, [type, calls]] of Object.entries(classes)) {
  test(`every function of ${name} is walked`, () => {
    const own = methodsOf(type).filter((method) => !(internal[name] ?? []).includes(method));
    assert.deepEqual(own.toSorted(), Object.keys(calls).toSorted());
  });
  for (const [method, make] of Object.entries(calls))
    test(`${name}: ${method} refuses wrong arguments`, async () => await walk(open, method, make));
}
for (const [name, [module, calls]] of Object.entries({
  perdure: [library, ofLibrary],
  "perdure/admin": [admin, ofAdmin],
} as const)) {
  test(`every function of ${name} is walked`, () => {
    assert.deepEqual(functionsOf(module).toSorted(), Object.keys(calls).toSorted());
  });
  for (const [method, make] of Object.entries(calls))
    test(`${name}: ${method} refuses wrong arguments`, async () => await walk(open, method, make));
}

test("a number of a turn or of an entry that is no number is named with its value, and not as a range", async () => {
  await using place = open();
  const one = await branched(place);
  const text = "1" as unknown as number;
  const { hash } = await one.attachments.put(Buffer.from("bytes"), { type: "text/plain" });
  const wrong: Readonly<Record<string, () => unknown>> = {
    pin: () => one.pin(text),
    unpin: () => one.unpin(text),
    leaveOut: () => one.leaveOut(text),
    takeIn: () => one.takeIn(text),
    rate: () => one.rate(text, { rating: "up" }),
    truncate: () => one.truncate(text),
    edit: () => one.edit(text, "q"),
    regenerate: () => one.regenerate({ turn: text }),
    branches: () => one.branches({ at: text }),
    summarize: () => one.summarize({ to: text }),
    fork: () => one.fork({ at: text }),
    "turns from": () => Array.fromAsync(one.turns({ from: text })),
    "turns to": () => Array.fromAsync(one.turns({ to: text })),
    events: () => Array.fromAsync(one.events({ from: text })),
    entries: () => Array.fromAsync(one.log("notes").entries({ from: text })),
    "write of turns": () => one.write({ turns: { from: text, turns: [] }, onto: one.info.version }),
    "write of a log": () => one.write({ logs: { notes: { from: text, entries: [] } }, onto: one.info.version }),
    attachment: async () => await Array.fromAsync(await one.attachments.open(hash, { from: text })),
    switchTo: () => one.switchTo(1 as unknown as string),
    removeBranch: () => one.removeBranch(1 as unknown as string),
    compare: () => one.compare(1 as unknown as string, "2"),
  };
  for (const [name, call] of Object.entries(wrong)) {
    const error: unknown = await Promise.resolve()
      .then(call)
      .catch((thrown: unknown) => thrown);
    assert(library.hasCode(error, "argument_invalid"), `${name}: ${String(error)}`);
    assert.match(
      error.message,
      /^(turn|after|query\.at|to|from|at|\S+\.from) is "1"; expected a whole number|^branch is 1; expected a text/,
      name,
    );
  }
});
