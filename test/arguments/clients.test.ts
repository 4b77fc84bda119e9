/** Every public function of the clients refuses a wrong argument with a `SessionError`. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, test } from "node:test";
import {
  Chat,
  chat,
  connect,
  DeviceConversation,
  DeviceConversations,
  openShare,
  RemoteConversations,
  RemoteDocuments,
  RemoteLog,
  RemoteProducer,
  RemoteSession,
  RemoteSessions,
  RemoteSharedSession,
  RemoteStreams,
} from "../../src/client/index.ts";
import * as client from "../../src/client/index.ts";
import { serve } from "../server/serving.ts";
import { functionsOf, methodsOf, walk, type Calls } from "./walk.ts";

const device = "0b9c8d5e-4c3f-4f0e-9a51-2f6f3f1d7a10";
const other = "0b9c8d5e-4c3f-4f0e-9a51-2f6f3f1d7a11";
const stopped = (): AbortSignal => AbortSignal.abort();

interface Place extends AsyncDisposable {
  readonly sessions: RemoteSessions;
  readonly mine: Chat;
}

// One server for all calls, since a server has many routes to make.
const serving = serve();
after(() => serving[Symbol.asyncDispose]());
const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
  await serving.server.fetch(new Request(url, init));
const at = { url: "http://server.test", fetch, retries: 0 };
let made = 0;

/** A tenant and a device that have nothing yet. */
async function open(): Promise<Place> {
  return {
    sessions: connect({ ...at, key: await serving.key("admin", `tenant-${++made}`) }),
    mine: chat({ ...at, device: randomUUID() }),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

const session = async ({ sessions }: Place): Promise<RemoteSession> => await sessions.create({ id: "s" });
/** A session with two turns, of which the second one has two versions. */
const branched = async (place: Place): Promise<RemoteSession> => {
  const created = await session(place);
  for (const input of ["one", "two"]) await created.append({ input });
  const { version } = await created.look();
  await created.write({ turns: { from: 2, turns: [{ input: "two again" }], keep: true }, onto: version });
  await created.refresh();
  return created;
};
const producer = async (place: Place): Promise<RemoteProducer> => {
  await session(place);
  const acquired = await place.sessions.streams.acquire("run", { session: "s" });
  if (acquired.role !== "producer") throw new Error("the stream is new");
  return acquired.stream;
};

const ofSessions: Calls<Place> = {
  create: ({ sessions }) => ({ of: sessions, args: [{ id: "s" }] }),
  ensure: ({ sessions }) => ({ of: sessions, args: ["s", { title: "t" }] }),
  get: async (place) => (await session(place), { of: place.sessions, args: ["s"] }),
  list: ({ sessions }) => ({ of: sessions, args: [{ limit: 1 }] }),
  each: ({ sessions }) => ({ of: sessions, args: [{}] }),
  write: async (place) => {
    await session(place);
    return { of: place.sessions, args: [[{ id: "s", logs: { jobs: { entries: [{ value: 1 }] } } }]] };
  },
  documents: ({ sessions }) => ({ of: sessions, args: ["scope"] }),
  conversations: ({ sessions }) => ({ of: sessions, args: [{ user: "ada" }] }),
  share: async (place) => (await session(place), { of: place.sessions, args: ["s", { ttl: "1h" }] }),
  shares: async (place) => (await session(place), { of: place.sessions, args: ["s"] }),
  unshare: ({ sessions }) => ({ of: sessions, args: ["01kahzzzzzzzzzzzzzzzzzzzzz"] }),
  search: ({ sessions }) => ({ of: sessions, args: [{ text: "a", limit: 1 }] }),
  listEvents: ({ sessions }) => ({ of: sessions, args: [{ limit: 1 }] }),
  eachEvent: ({ sessions }) => ({ of: sessions, args: [{}] }),
  news: ({ sessions }) => ({ of: sessions, args: [{ signal: stopped() }] }),
  send: ({ sessions }) => ({ of: sessions, args: ["s", "hello", { create: true }] }),
  remove: async (place) => (await session(place), { of: place.sessions, args: ["s"] }),
  erase: ({ sessions }) => ({ of: sessions, args: [{ user: "ada" }] }),
  sweep: ({ sessions }) => ({ of: sessions, args: [] }),
  stats: ({ sessions }) => ({ of: sessions, args: [{ by: "agent" }] }),
};

const ofSession: Calls<Place> = {
  refresh: async (place) => ({ of: await session(place), args: [] }),
  append: async (place) => ({ of: await session(place), args: [{ input: "q" }, { key: "k" }] }),
  consult: async (place) => ({ of: await session(place), args: ["q", { key: "k" }] }),
  waiting: async (place) => ({ of: await session(place), args: [] }),
  approve: async (place) => ({ of: await session(place), args: ["token", { call: true }, { signal: stopped() }] }),
  sealWaiting: async (place) => ({ of: await session(place), args: ["token", {}] }),
  running: async (place) => ({ of: await session(place), args: [] }),
  cancel: async (place) => ({ of: await session(place), args: [{ key: "k" }] }),
  turns: async (place) => ({ of: await session(place), args: [{ last: 1 }] }),
  watch: async (place) => ({ of: await session(place), args: [{ signal: stopped() }] }),
  write: async (place) => ({ of: await session(place), args: [{ logs: { jobs: { entries: [{ value: 1 }] } } }] }),
  look: async (place) => ({ of: await session(place), args: [[{ log: "turns", last: 1 }]] }),
  log: async (place) => ({ of: await session(place), args: ["jobs"] }),
  instructions: async (place) => ({ of: await session(place), args: [] }),
  branches: async (place) => ({ of: await branched(place), args: [{ at: 2 }] }),
  switchTo: async (place) => ({ of: await branched(place), args: ["1"] }),
  compare: async (place) => ({ of: await branched(place), args: ["1", "2"] }),
  removeBranch: async (place) => ({ of: await branched(place), args: ["1"] }),
  edit: async (place) => ({ of: await branched(place), args: [1, "q", { key: "k" }] }),
  regenerate: async (place) => ({ of: await branched(place), args: [{ turn: 1, key: "k" }] }),
  truncate: async (place) => ({ of: await session(place), args: [0] }),
  summarize: async (place) => ({ of: await session(place), args: [{ to: 1 }] }),
  summaries: async (place) => ({ of: await session(place), args: [] }),
  memory: async (place) => ({ of: await session(place), args: [] }),
  pin: async (place) => ({ of: await session(place), args: [1] }),
  unpin: async (place) => ({ of: await session(place), args: [1] }),
  leaveOut: async (place) => ({ of: await session(place), args: [1] }),
  takeIn: async (place) => ({ of: await session(place), args: [1] }),
  rate: async (place) => ({ of: await session(place), args: [1, { rating: "up", by: "ada" }] }),
  ratings: async (place) => ({ of: await session(place), args: [{ turn: 1 }] }),
  update: async (place) => ({ of: await session(place), args: [{ title: "t" }] }),
  touch: async (place) => ({ of: await session(place), args: [] }),
  record: async (place) => ({ of: await session(place), args: [{ type: "app.seen" }] }),
  handOff: async (place) => ({ of: await session(place), args: ["a", { ttl: "1h" }] }),
  activeAgent: async (place) => ({ of: await session(place), args: [] }),
  endHandoff: async (place) => ({ of: await session(place), args: [] }),
  events: async (place) => ({ of: await session(place), args: [{ last: 1 }] }),
  end: async (place) => ({ of: await session(place), args: [{ reason: "r" }] }),
  fork: async (place) => ({ of: await session(place), args: [{ as: "f" }] }),
  archive: async (place) => ({ of: await session(place), args: [] }),
  unarchive: async (place) => ({ of: await session(place), args: [] }),
  setLegalHold: async (place) => ({ of: await session(place), args: ["r"] }),
  clearLegalHold: async (place) => ({ of: await session(place), args: [] }),
  remove: async (place) => ({ of: await session(place), args: [] }),
};

const users = async ({ sessions }: Place): Promise<{ of: RemoteConversations<RemoteSession>; id: string }> => {
  const of = sessions.conversations({ user: "ada" });
  return { of, id: (await of.create()).id };
};

const ofConversations: Calls<Place> = {
  list: async (place) => ({ of: (await users(place)).of, args: [{ limit: 1 }] }),
  each: async (place) => ({ of: (await users(place)).of, args: [] }),
  create: async (place) => ({ of: (await users(place)).of, args: [{ title: "t" }] }),
  open: async (place) => users(place).then(({ of, id }) => ({ of, args: [id] })),
  get: async (place) => users(place).then(({ of, id }) => ({ of, args: [id] })),
  rename: async (place) =>
    users(place).then(({ of, id }) => ({ of, args: [id, "t"], takes: { 1: ["null", "a text"] } })),
  pin: async (place) => users(place).then(({ of, id }) => ({ of, args: [id] })),
  unpin: async (place) => users(place).then(({ of, id }) => ({ of, args: [id] })),
  select: async (place) => users(place).then(({ of, id }) => ({ of, args: [id] })),
  remove: async (place) => users(place).then(({ of, id }) => ({ of, args: [id] })),
};

const ofDeviceConversations: Calls<Place> = {
  search: ({ mine }) => ({ of: mine.conversations, args: ["words", { limit: 1 }] }),
};

/** A conversation of the device with one turn. */
const conversation = async ({ mine }: Place): Promise<DeviceConversation> => {
  const created = await mine.conversations.create();
  await (
    await created.say("q")
  ).done;
  return created;
};

const ofDeviceConversation: Calls<Place> = {
  waiting: async (place) => ({ of: await conversation(place), args: [] }),
  approve: async (place) => ({ of: await conversation(place), args: ["token", { call: true }] }),
  refresh: async (place) => ({ of: await conversation(place), args: [] }),
  say: async (place) => ({ of: await conversation(place), args: ["q", { key: "k" }] }),
  edit: async (place) => ({ of: await conversation(place), args: [1, "q", { key: "k" }] }),
  regenerate: async (place) => ({ of: await conversation(place), args: [{ turn: 1, key: "k" }] }),
  running: async (place) => ({ of: await conversation(place), args: [] }),
  cancel: async (place) => ({ of: await conversation(place), args: [{ key: "k" }] }),
  turns: async (place) => ({ of: await conversation(place), args: [{ last: 1 }] }),
  branches: async (place) => ({ of: await conversation(place), args: [{ at: 1 }] }),
  switchTo: async (place) => ({ of: await conversation(place), args: ["1"] }),
  share: async (place) => ({ of: await conversation(place), args: [{ ttl: "1h" }] }),
  shares: async (place) => ({ of: await conversation(place), args: [] }),
  unshare: async (place) => ({ of: await conversation(place), args: ["01kahzzzzzzzzzzzzzzzzzzzzz"] }),
};

const shared = async (): Promise<RemoteSharedSession> => {
  const { id } = await serving.sessions.create({ id: `shared-${++made}` });
  return openShare({ ...at, token: (await serving.sessions.share(id)).token });
};

const ofSharedSession: Calls<Place> = {
  info: async () => ({ of: await shared(), args: [] }),
  turns: async () => ({ of: await shared(), args: [{ last: 1 }] }),
  openAttachment: async () => {
    const session = await serving.sessions.create({ id: `shared-${++made}` });
    const { hash, part } = await session.attachments.put(Buffer.from("text"), { type: "a/b" });
    await session.append({ input: [{ role: "user", content: [part] }] });
    const { token } = await serving.sessions.share(session.id);
    return { of: openShare({ ...at, token }), args: [hash, { from: 0, to: 1 }] };
  },
  watch: async () => ({ of: await shared(), args: [{ after: 0, signal: stopped() }] }),
};

const ofDocuments: Calls<Place> = {
  get: ({ sessions }) => ({ of: sessions.documents("d"), args: ["k"] }),
  getMany: ({ sessions }) => ({ of: sessions.documents("d"), args: [["k"]] }),
  put: ({ sessions }) => ({ of: sessions.documents("d"), args: ["k", 1, { ttl: "1h" }] }),
  update: ({ sessions }) => ({ of: sessions.documents("d"), args: ["k", () => 1, { ttl: "1h" }] }),
  delete: ({ sessions }) => ({ of: sessions.documents("d"), args: ["k", { if: 1 }] }),
  touch: ({ sessions }) => ({ of: sessions.documents("d"), args: ["k", "1h"] }),
  list: ({ sessions }) => ({ of: sessions.documents("d"), args: [{ limit: 1 }] }),
  each: ({ sessions }) => ({ of: sessions.documents("d"), args: [{}] }),
  count: ({ sessions }) => ({ of: sessions.documents("d"), args: [{}] }),
  write: ({ sessions }) => ({ of: sessions.documents("d"), args: [[{ key: "k", value: 1 }]] }),
};

const ofLog: Calls<Place> = {
  entries: async (place) => ({ of: (await session(place)).log("jobs"), args: [{ last: 1 }] }),
  get: async (place) => ({ of: (await session(place)).log("jobs"), args: [["k"]] }),
  between: async (place) => ({ of: (await session(place)).log("jobs"), args: [{ from: "a" }, {}] }),
  follow: async (place) => ({ of: (await session(place)).log("jobs"), args: [{ signal: stopped() }] }),
};

const ofStreams: Calls<Place> = {
  acquire: ({ sessions }) => ({ of: sessions.streams, args: ["run", { ttl: "1h" }] }),
  status: ({ sessions }) => ({ of: sessions.streams, args: ["run"] }),
  get: ({ sessions }) => ({ of: sessions.streams, args: ["run"] }),
  list: ({ sessions }) => ({ of: sessions.streams, args: [{ status: ["done"], session: "s", limit: 1 }] }),
  read: async (place) => (await producer(place), { of: place.sessions.streams, args: ["run", { signal: stopped() }] }),
  active: ({ sessions }) => ({ of: sessions.streams, args: ["s"] }),
  stop: ({ sessions }) => ({ of: sessions.streams, args: ["run"] }),
  delete: ({ sessions }) => ({ of: sessions.streams, args: ["run"] }),
};

const ofProducer: Calls<Place> = {
  write: async (place) => ({ of: await producer(place), args: [1, { said: "s" }] }),
  end: async (place) => ({ of: await producer(place), args: [{ append: { input: "q" } }] }),
  fail: async (place) => ({ of: await producer(place), args: ["failed"] }),
};

const ofChat: Calls<Place> = {
  say: ({ mine }) => ({ of: mine, args: ["q", { key: "k" }] }),
  turns: ({ mine }) => ({ of: mine, args: [{ last: 1 }] }),
  session: ({ mine }) => ({ of: mine, args: [] }),
  running: ({ mine }) => ({ of: mine, args: [] }),
  cancel: ({ mine }) => ({ of: mine, args: [{ key: "k" }] }),
  waiting: ({ mine }) => ({ of: mine, args: [] }),
  approve: ({ mine }) => ({ of: mine, args: ["token", { call: true }, { signal: stopped() }] }),
  activeAgent: ({ mine }) => ({ of: mine, args: [] }),
  handOff: ({ mine }) => ({ of: mine, args: ["a", { ttl: "1h" }] }),
  endHandoff: ({ mine }) => ({ of: mine, args: [] }),
  linkCode: ({ mine }) => ({ of: mine, args: [] }),
  link: ({ mine }) => ({ of: mine, args: ["123456"] }),
  listSharing: ({ mine }) => ({ of: mine, args: [{ limit: 1 }] }),
  eachSharing: ({ mine }) => ({ of: mine, args: [] }),
  endSharing: ({ mine }) => ({ of: mine, args: [other] }),
  unlink: ({ mine }) => ({ of: mine, args: [] }),
};

const storage = { getItem: () => null, setItem: () => undefined };
const ofClient: Calls<Place> = {
  browserDevice: () => ({ of: client, args: [storage] }),
  chat: () => ({ of: client, args: [{ url: "http://server.test", device }] }),
  connect: () => ({ of: client, args: [{ url: "http://server.test", key: "pdk_x" }] }),
  openShare: () => ({ of: client, args: [{ url: "http://server.test", token: "pds_x" }] }),
  hasCode: () => ({ of: client, args: [5, "closed"] }),
};

const classes: Readonly<Record<string, readonly [type: { readonly prototype: object }, calls: Calls<Place>]>> = {
  RemoteSessions: [RemoteSessions, ofSessions],
  RemoteSession: [RemoteSession, ofSession],
  RemoteConversations: [RemoteConversations, ofConversations],
  DeviceConversations: [DeviceConversations, ofDeviceConversations],
  DeviceConversation: [DeviceConversation, ofDeviceConversation],
  RemoteSharedSession: [RemoteSharedSession, ofSharedSession],
  RemoteDocuments: [RemoteDocuments, ofDocuments],
  RemoteLog: [RemoteLog, ofLog],
  RemoteStreams: [RemoteStreams, ofStreams],
  RemoteProducer: [RemoteProducer, ofProducer],
  Chat: [Chat, ofChat],
};

for (const [name, [type, calls]] of Object.entries(classes)) {
  test(`every function of ${name} is walked`, () => {
    assert.deepEqual(methodsOf(type).toSorted(), Object.keys(calls).toSorted());
  });
  for (const [method, make] of Object.entries(calls))
    test(`${name}: ${method} refuses wrong arguments`, async () => await walk(open, method, make));
}

test("every function of perdure/client is walked", () => {
  assert.deepEqual(functionsOf(client).toSorted(), Object.keys(ofClient).toSorted());
});
for (const [method, make] of Object.entries(ofClient))
  test(`perdure/client: ${method} refuses wrong arguments`, async () => await walk(open, method, make));
