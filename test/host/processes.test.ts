/** Hosts in several processes on one PostgreSQL: one dies, one is paused past its lease, and no session is in two minds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions, type Sessions } from "../../src/index.ts";
import { coreOf } from "../../src/sessions/sessions.ts";
import { someDatabase } from "../postgres/server.ts";
import { HostProcess, type Note, type Reply } from "./host-process.ts";

const sessionCount = 300;
const messages = 12;
const everyMs = 500;
/** Who is not answered for so long asks elsewhere: the host may be paused. */
const patienceMs = 2000;
/** Each further attempt waits longer, so that a busy machine is not asked ever more. */
const morePatienceMs = 500;

/** What another host, or another try, may help against. */
const mayPass = new Set(["busy", "fenced", "runtime_failed", "session_stopped", "closed", "store_unavailable"]);

/** Say it until it is answered: at the owner, where a host names one, else at the next host. */
async function say(addresses: readonly string[], note: Note, first: string): Promise<{ seq: number; at: string }> {
  let at = first;
  for (let attempt = 0; ; attempt++) {
    const reply = await ask(at, note, patienceMs + attempt * morePatienceMs);
    if (reply !== undefined && "seq" in reply) return { seq: reply.seq, at };
    const owner = reply?.code === "not_owner" ? reply.details.address : undefined;
    if (owner === undefined && reply !== undefined) assert(mayPass.has(reply.code), JSON.stringify(reply));
    // The owner may be gone, and nobody has noticed yet.
    const others = addresses.filter((address) => address !== at);
    at = attempt % 2 === 0 && owner !== undefined ? owner : (others[attempt % others.length] ?? at);
    if (owner === undefined || attempt > 3) await sleep(20 + Math.random() * 80);
  }
}

async function ask(address: string, note: Note, timeoutMs: number): Promise<Reply | undefined> {
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(address, { method: "POST", body: JSON.stringify(note), signal });
    return (await response.json()) as Reply;
  } catch {
    return undefined; // it is gone, or says nothing
  }
}

async function guardTurns(sessions: Sessions, id: string, acknowledged: ReadonlyMap<string, number>): Promise<void> {
  const turns = await Array.fromAsync((await sessions.get(id)).turns());
  assert.deepEqual(
    turns.map(({ input }) => input[0]?.content),
    Array.from({ length: messages }, (_, message) => `${message}`),
    `${id}: each message is there once, in order`,
  );
  for (const { seq, key } of turns) assert.equal(acknowledged.get(key ?? ""), seq, "as it was acknowledged");
  const fences = turns.map(({ model }) => Number(model));
  assert.deepEqual(
    fences,
    fences.toSorted((a, b) => a - b),
    `${id}: who has lost the session writes no turn`,
  );
}

test("300 sessions on three hosts, one killed and one paused past its lease: one owner each, every turn once", async (t) => {
  await using database = await someDatabase();
  await using sessions = await openSessions({ store: database.url, sweep: false });
  const ids = Array.from({ length: sessionCount }, (_, index) => `s${index}`);
  await Promise.all(ids.map((id) => sessions.create({ id })));
  const hosts = await Promise.all(Array.from({ length: 3 }, () => HostProcess.start(database.url)));
  const [killed, paused, steady] = hosts;
  assert(killed !== undefined && paused !== undefined && steady !== undefined);
  const addresses = hosts.map(({ address }) => address);
  try {
    const talking = ids.map(async (id, index) => {
      const acknowledged = new Map<string, number>();
      let at = addresses[index % addresses.length] ?? "";
      await sleep((everyMs * index) / sessionCount);
      for (let message = 0; message < messages; message++) {
        const key = `${id} ${message}`;
        const reply = await say(addresses, { id, text: `${message}`, key }, at);
        acknowledged.set(key, reply.seq);
        at = reply.at;
        await sleep(everyMs);
      }
      return acknowledged;
    });
    const breaking = (async () => {
      await sleep(3 * everyMs);
      killed.signal("SIGKILL");
      await sleep(2 * everyMs);
      paused.signal("SIGSTOP");
      await sleep(3000); // three times as long as its lease stands without a heartbeat
      paused.signal("SIGCONT");
    })();
    const [acknowledged] = await Promise.all([Promise.all(talking), breaking]);
    for (const [index, id] of ids.entries()) await guardTurns(sessions, id, acknowledged[index] ?? new Map());

    const owners = await settled(sessions, ids, [paused, steady]);
    t.diagnostic(`${owners.paused} sessions live in the host that was paused, ${owners.steady} in the other`);
    assert.equal(owners.paused + owners.steady, sessionCount);
  } finally {
    await Promise.all(hosts.map((host) => host[Symbol.asyncDispose]()));
  }
  // In good order they gave back what they had.
  const records = await coreOf(sessions).findAll(ids.map((id) => ({ tenant: sessions.tenant, id })));
  assert(records.every((record) => record?.lease === null));
});

/** How many live where, once each has one owner, who is the one that the store knows. */
async function settled(
  sessions: Sessions,
  ids: readonly string[],
  [paused, steady]: readonly [HostProcess, HostProcess],
): Promise<{ readonly paused: number; readonly steady: number }> {
  for (;;) {
    const [here, there] = await Promise.all([paused.live(), steady.live()]);
    const instances = await ownersOf(sessions, ids);
    const of = (live: readonly string[]): Set<string | undefined> => new Set(live.map((id) => instances.get(id)));
    const each = [...here, ...there];
    const isSettled = each.length === ids.length && new Set(each).size === ids.length;
    // All that live in one host are held by one instance, and the two are different.
    const owners = [...of(here), ...of(there)];
    if (isSettled && owners.length <= 2 && new Set(owners).size === owners.length) {
      return { paused: here.length, steady: there.length };
    }
    await sleep(100);
  }
}

async function ownersOf(sessions: Sessions, ids: readonly string[]): Promise<ReadonlyMap<string, string | undefined>> {
  const records = await coreOf(sessions).findAll(ids.map((id) => ({ tenant: sessions.tenant, id })));
  return new Map(records.map((record, index) => [ids[index] ?? "", record?.lease?.instance]));
}
