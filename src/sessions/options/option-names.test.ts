/** An option that does not exist is refused by every method that takes options: it would do nothing, in silence. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { copySessions, doctor, erase, importSessions, stats, sweep } from "../../admin.ts";
import type { Session, Sessions } from "../../index.ts";

/** Options of a JavaScript caller, which no compiler checks. */
// oxlint-disable-next-line typescript/no-explicit-any -- the options are wrong on purpose
const misspelt: any = { dryrun: true };

const onSession: Readonly<Record<string, (session: Session) => Promise<unknown>>> = {
  append: (session) => session.append({ input: "q" }, misspelt),
  begin: (session) => session.begin("q", misspelt),
  cancel: (session) => session.cancel(misspelt),
  consult: (session) => session.consult("q", misspelt),
  end: (session) => session.end(misspelt),
  exclusive: (session) => session.exclusive(() => Promise.resolve(), misspelt),
  fork: (session) => session.fork(misspelt),
  handOff: (session) => session.handOff("a", misspelt),
  lease: (session) => session.lease(misspelt),
  update: (session) => session.update(misspelt),
  turns: (session) => Array.fromAsync(session.turns(misspelt)),
  events: (session) => Array.fromAsync(session.events(misspelt)),
  watch: (session) => Array.fromAsync(session.watch(misspelt)),
};
const onSessions: Readonly<Record<string, (sessions: Sessions) => Promise<unknown>>> = {
  "devices.list": (sessions) => sessions.devices.list("ada", misspelt),
  "devices.open": (sessions) => sessions.devices.open("0b9c8d5e-4c3f-4f0e-9a51-2f6f3f1d7a10", misspelt),
  listEvents: (sessions) => sessions.listEvents(misspelt),
  eachEvent: (sessions) => Array.fromAsync(sessions.eachEvent(misspelt)),
  copySessions: (sessions) => copySessions(sessions, sessions, misspelt),
  doctor: (sessions) => doctor(sessions, misspelt),
  erase: (sessions) => erase(sessions, { user: "ada", ...misspelt }),
  importSessions: (sessions) => importSessions(sessions, [], misspelt),
  restore: async (sessions) => await sessions.restore(await sessions.snapshot("s"), misspelt),
  stats: (sessions) => stats(sessions, misspelt),
  sweep: (sessions) => sweep(sessions, misspelt),
};

/** A signal that cannot abort. */
// oxlint-disable-next-line typescript/no-explicit-any -- the signal is wrong on purpose
const signal: any = { aborted: "no" };

const withSignals: Readonly<Record<string, (session: Session, sessions: Sessions) => Promise<unknown>>> = {
  consult: (session) => session.consult("q", { signal }),
  "consult withdrawn": (session) => session.consult("q", { withdraw: signal }),
  watch: (session) => Array.fromAsync(session.watch({ signal })),
  follow: (session) => Array.fromAsync(session.log("jobs").follow({ signal })),
  eachEvent: (_, sessions) => Array.fromAsync(sessions.eachEvent({ follow: true, signal })),
  news: (_, sessions) => Array.fromAsync(sessions.news({ signal })),
  "streams.read": (_, sessions) => Array.fromAsync(sessions.streams.read("run", { signal })),
};

for (const [name, call] of Object.entries(withSignals)) {
  test(`${name} refuses a signal that cannot abort, and leaves no lease`, async () => {
    await using place = inMemory({
      model: async function* () {
        yield { type: "text", text: "text" };
      },
    });
    const session = await place.sessions.create({ id: "s" });
    await assert.rejects(async () => await call(session, place.sessions), {
      code: "argument_invalid",
      message: /is an object; expected an AbortSignal/,
    });
    assert.equal(await session.leaseHolder(), null);
  });
}

for (const [name, call] of Object.entries(onSession)) {
  test(`${name} of a session refuses an option that does not exist, and changes nothing`, async () => {
    await using place = inMemory();
    const session = await place.sessions.create({ id: "s" });
    await assert.rejects(async () => await call(session), { code: "argument_invalid", message: /"dryrun"/ });
    const { turn, state, activeAgent } = await (await place.sessions.get("s")).refresh();
    assert.deepEqual([turn, state, activeAgent?.agent ?? null, await place.sessions.count()], [0, "active", null, 1]);
  });
}

for (const [name, call] of Object.entries(onSessions)) {
  test(`${name} refuses an option that does not exist, and changes nothing`, async () => {
    await using place = inMemory({ secret: "s".repeat(20) });
    await place.sessions.create({ id: "s", user: "ada" });
    await assert.rejects(async () => await call(place.sessions), { code: "argument_invalid", message: /"dryrun"/ });
    assert.equal(await place.sessions.count(), 1);
  });
}
