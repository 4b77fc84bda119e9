/**
 * The rules over random histories: what must hold after every change, whatever led there. The commands come from writers
 * that remember old fences and old views, so many are refused; a refusal must be a typed error.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../test/support/fast-check.ts";
import { messages, turn as anyTurn } from "../../test/property/arbitraries.ts";
import { SessionError } from "../errors.ts";
import { recordOf, rowOf } from "../store/row.ts";
import { sampleAt } from "../testing/samples.ts";
import { changeOf, draftOf, turnsIdentity, type Change, type Draft } from "./record/change.ts";
import { assemble, readableChunks, type Chunk } from "./turns/chunk.ts";
import { claimSession } from "./record/device-claim.ts";
import { appendConflicts } from "./record/conflict.ts";
import { truncatedUsageLog, type Entry } from "./record/entry.ts";
import { eventOf, type SessionEvent } from "./record/event.ts";
import { handOff, endHandoff } from "./record/handoff.ts";
import {
  grant,
  joinQueue,
  leaseRuns,
  leaveQueue,
  recover,
  releaseLease,
  renewLease,
  requestCancel,
  sealLeft,
  type AbandonedTurn,
} from "./turns/leases.ts";
import {
  createSession,
  endSession,
  expiredSince,
  expireSession,
  postponeSweep,
  restartSession,
  reviveSession,
  touchSession,
  updateSession,
} from "./record/lifecycle.ts";
import { defaultLimits } from "./values/limits.ts";
import { activateSession, failSession, passivateSession } from "./record/activation.ts";
import type { Identity, Handoff, SessionRecord } from "./record/record.ts";
import { stateAt } from "./record/states.ts";
import { countAll, countTruncatedUsage } from "./turns/counters.ts";
import { endOfWait, resumeTurn, waitTurn } from "./writes/waiting.ts";
import { danglingToolCalls, isSealed, turnOf, type Turn } from "./turns/turn.ts";
import { SessionCheck } from "./copies/session-check.ts";
import { TruncatedSums, truncatedUsageOf } from "./turns/truncated-usage.ts";
import { addChunks, appendTurn, beginTurn, sealTurn, truncateTurns } from "./turns/turns.ts";
import type { Context, Writer } from "./record/guards.ts";

const limits = { ...defaultLimits, waitersMax: 2 };

/** What a writer can try; the numbers choose among what it remembers. */
const lively = fc.oneof(
  fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(0, 1, 1, 1000, 1000, 40_000, 3_600_000) }),
  fc.record({ do: fc.constant("append" as const), turn: anyTurn, leased: fc.boolean() }),
  fc.record({
    do: fc.constant("begin" as const),
    input: messages,
    key: fc.option(fc.constantFrom("k", "l")),
    takes: fc.boolean(),
    recovers: fc.boolean(),
  }),
  fc.record({
    do: fc.constant("chunk" as const),
    chunks: fc.array(
      messages.map((some): Chunk => (some[0] === undefined ? { text: "…" } : { message: some[0] })),
      { minLength: 1, maxLength: 3 },
    ),
  }),
  fc.record({ do: fc.constant("seal" as const), turn: anyTurn, release: fc.boolean() }),
  fc.record({
    do: fc.constant("wait" as const),
    forMs: fc.option(fc.constantFrom(1, 1000, 100_000)),
    release: fc.boolean(),
  }),
  fc.record({ do: fc.constant("resume" as const), knows: fc.constantFrom(true, true, false), leased: fc.boolean() }),
  fc.record({ do: fc.constant("interruptWait" as const) }),
  fc.record({ do: fc.constant("truncate" as const), keep: fc.nat(5), leased: fc.boolean() }),
  fc.record({
    do: fc.constant("take" as const),
    ttlMs: fc.option(fc.constantFrom(1, 1000, 100_000)),
    ticket: fc.option(fc.constantFrom("s", "t")),
  }),
  fc.record({ do: fc.constant("recover" as const) }),
  fc.record({ do: fc.constant("release" as const) }),
  fc.record({ do: fc.constant("renew" as const), ttlMs: fc.constantFrom(1, 1000, 100_000) }),
  fc.record({ do: fc.constant("cancel" as const) }),
  fc.record({
    do: fc.constant("join" as const),
    ticket: fc.constantFrom("s", "t", "u"),
    forMs: fc.constantFrom(1, 10_000),
  }),
  fc.record({ do: fc.constant("leave" as const), ticket: fc.constantFrom("s", "t", "u") }),
  fc.record({ do: fc.constant("touch" as const) }),
  fc.record({
    do: fc.constant("update" as const),
    ttlMs: fc.constantFrom(1000, 60_000, 7_200_000),
    maxAgeMs: fc.option(fc.constantFrom(5000, 90_000)),
  }),
  fc.record({ do: fc.constant("expire" as const) }),
  fc.record({ do: fc.constant("postpone" as const) }),
  fc.record({ do: fc.constant("revive" as const) }),
  fc.record({ do: fc.constant("activate" as const) }),
  fc.record({ do: fc.constant("passivate" as const), gives: fc.boolean() }),
  fc.record({ do: fc.constant("fail" as const) }),
  fc.record({ do: fc.constant("takeOver" as const) }),
  fc.record({
    do: fc.constant("handOff" as const),
    agent: fc.constantFrom("cto", "cfo"),
    ttlMs: fc.constantFrom(1, 40_000, 7_200_000),
  }),
  fc.record({ do: fc.constant("giveBack" as const) }),
  fc.record({ do: fc.constant("reassign" as const), user: fc.option(fc.constantFrom("ann", "bob")) }),
  fc.record({ do: fc.constant("claim" as const), user: fc.constantFrom("ann", "bob") }),
  fc.record({ do: fc.constant("conflict" as const) }),
);
/** After its end nothing much can happen to a session. */
const end = fc.record({ do: fc.constant("end" as const), leased: fc.boolean() });
const command = fc.oneof({ arbitrary: lively, weight: 50 }, { arbitrary: end, weight: 1 });
type Command = typeof command extends fc.Arbitrary<infer One> ? One : never;

/** Most look before they write; the others do not know what happened meanwhile. */
const looks = fc.constantFrom(true, true, true, false);
const histories = fc.array(fc.record({ who: fc.constantFrom(0, 0, 1), looks, command }), { maxLength: 80, size: "+2" });
type Step = typeof histories extends fc.Arbitrary<(infer One)[]> ? One : never;

/** A writer remembers the fence it was given and the turns it saw, both perhaps long out of date. */
interface Memory {
  fence: number | null;
  seen: Identity;
  seenTurn: number;
}

/** One session with its logs, as a store would hold it, and the writers around it. */
class Life {
  now: number = sampleAt;
  record: SessionRecord;
  readonly logs = new Map<string, readonly Entry[]>();
  readonly writers: Memory[] = [];
  truncated = false;
  /** The greatest time to which the sweep was put off beyond the deadline. */
  postponedTo = 0;

  constructor() {
    const change = createSession(
      {
        key: { tenant: "t", id: "s" },
        agent: "ceo",
        user: null,
        metadata: {},
        ttlMs: 3_600_000,
        maxAgeMs: null,
        instructions: "Be brief.",
      },
      this.context(),
    );
    assert.ok(change.record);
    assert.equal(change.expected, null);
    this.record = change.record;
    this.splice(change);
    for (let who = 0; who < 2; who++)
      this.writers.push({ fence: null, seen: turnsIdentity(change.record), seenTurn: 0 });
  }

  context(): Context {
    return { now: this.now, chance: 0, limits };
  }

  turns(): Turn[] {
    return (this.logs.get("turns") ?? []).map(turnOf);
  }

  remains(): AbandonedTurn | null {
    const turn = this.turns().at(-1);
    if (this.record.openTurn === null || turn === undefined) return null;
    const chunks = readableChunks(this.logs.get("chunks") ?? []);
    return { turn, chunks, written: chunks.length, notRun: [], replaced: [] };
  }

  splice({ splices }: Change): void {
    for (const { log, from, entries } of splices) {
      const before = this.logs.get(log) ?? [];
      assert.ok(from >= 1 && from <= before.length + 1, `a splice of ${log} at ${from} leaves no gap`);
      for (const [index, { seq }] of entries.entries()) assert.equal(seq, from + index, "seqs run on");
      this.logs.set(log, [...before.slice(0, from - 1), ...entries]);
    }
  }
}

test("after random operations the record and the logs of a session agree, and a superseded lease holder writes nothing", () => {
  fc.assert(
    fc.property(histories, (history) => {
      const life = new Life();
      for (const one of history) step(life, one);
    }),
    { numRuns: 600 },
  );
});

test("event log equals state after random histories", () => {
  const again = { key: { tenant: "t", id: "s" }, agent: "coo", user: "eve", metadata: {} } as const;
  const fresh = { ...again, ttlMs: 3_600_000, maxAgeMs: null, instructions: null };
  fc.assert(
    fc.property(histories, (history) => {
      const life = new Life();
      checkEvents(life.record, life.logs);
      for (const one of history) {
        step(life, one);
        checkEvents(life.record, life.logs);
      }
      if (life.record.lease !== null || life.record.openTurn !== null) return; // it is not begun afresh under an answer
      const parts = restartSession(life.record, { session: fresh, archiveId: "s.1" }, life.context());
      for (const { record, splices, logsOf } of parts) {
        assert.ok(record);
        const logs = new Map(logsOf === undefined ? [] : life.logs);
        for (const { log, from, entries } of splices)
          logs.set(log, [...(logs.get(log) ?? []).filter(({ seq }) => seq < from), ...entries]);
        checkEvents(record, logs);
      }
    }),
    { numRuns: 300 },
  );
});

/** What the events of a session alone say of it. */
interface Replayed {
  state: SessionRecord["state"];
  stateSince: number;
  agent: string;
  user: string | null;
  handoff: Handoff | null;
  /** The turn that waits. */
  waits: { turn: number; reason: string; expiresAt: number | null } | null;
  /** The least that the fence can be. */
  fence: number;
}

/** `timeUp`: when the time of the session was up, or its last activity, if that came later. */
function replayAll(events: readonly SessionEvent[], timeUp: number): Replayed {
  const none: Replayed = {
    state: "active",
    stateSince: 0,
    agent: "",
    user: null,
    handoff: null,
    waits: null,
    fence: 0,
  };
  return events.reduce((replayed, event) => ({ ...replayed, ...replayOne(replayed, event, timeUp) }), none);
}

function replayOne(replayed: Replayed, event: SessionEvent, timeUp: number): Partial<Replayed> {
  const become = (state: Replayed["state"]): Partial<Replayed> =>
    state === replayed.state ? {} : { state, stateSince: event.at.getTime() };
  switch (event.type) {
    case "created":
    case "reset":
      return { state: "active", stateSince: event.at.getTime(), agent: event.agent, user: event.user };
    case "archived":
      return { state: "archived", stateSince: event.at.getTime(), handoff: null };
    case "reassigned":
    case "claimed":
      return { user: event.user };
    case "activated":
      return become("active");
    case "revived":
      return { state: "active", stateSince: event.at.getTime() };
    case "passivated":
      return become("inactive");
    case "failed":
      return replayed.state === "active" ? become("inactive") : {};
    case "expired":
      // Its time was up before a sweep marked it.
      return { state: "expired", stateSince: Math.max(timeUp, replayed.stateSince) };
    case "ended":
      return become("ended");
    case "recovered":
    case "taken_over":
      return { fence: event.fence };
    case "handed_off": {
      const { agent, note, noteFrom, at, ttlMs } = event;
      const noted = noteFrom === undefined ? { note } : { note, noteFrom };
      return { handoff: { agent, ...noted, since: at.getTime(), expiresAt: at.getTime() + ttlMs } };
    }
    case "handoff_ended":
      return { handoff: null };
    case "unarchived":
      return become(event.state);
    case "turn_waiting": {
      const { turn, reason, expiresAt } = event;
      return { waits: { turn, reason, expiresAt: expiresAt?.getTime() ?? null } };
    }
    case "turn_resumed":
    case "calls_decided":
    case "wait_ended":
      return { waits: null };
    case "legal_hold_set":
    case "legal_hold_cleared":
    case "forked":
    case "superseded":
    case "device_linked":
    case "conflicted":
    case "attachment_lost":
      return {};
    default:
      return {}; // an event of an application
  }
}

function checkEvents(record: SessionRecord, logs: ReadonlyMap<string, readonly Entry[]>): void {
  const events = (logs.get("events") ?? []).map(eventOf);
  const { fence, ...replayed } = replayAll(events, Math.max(record.expiresAt, record.lastActivityAt));
  const { state, stateSince, agent, user, handoff, waiting, openTurn } = record;
  const waits = waiting && { turn: openTurn, reason: waiting.reason, expiresAt: waiting.expiresAt };
  assert.deepEqual(replayed, { state, stateSince, agent, user, handoff, waits });
  assert.ok(record.fence >= fence, "a fence that was told of is given out again by nobody");
  assert.equal(record.heads["events"], events.length);
}

test("the random histories reach what they are meant to test", () => {
  const landed = new Map<string, number>();
  for (const history of fc.sample(histories, { numRuns: 400, seed: 7 })) {
    const life = new Life();
    for (const one of history) {
      const before = life.record;
      step(life, one);
      if (life.record !== before) landed.set(one.command.do, (landed.get(one.command.do) ?? 0) + 1);
    }
  }
  const all = ["append", "begin", "chunk", "seal", "truncate", "take", "recover", "release", "renew", "cancel", "join"];
  const living = ["activate", "passivate", "fail", "expire", "postpone", "revive", "end", "touch", "update"];
  const owned = ["conflict", "takeOver", "handOff", "giveBack", "reassign", "claim", "leave"];
  for (const one of [...all, ...living, ...owned])
    assert.ok((landed.get(one) ?? 0) >= 10, `${one} landed ${landed.get(one) ?? 0} times`);
});

function step(life: Life, { who, looks, command }: Step): void {
  const writer = life.writers[who]!;
  if (command.do === "pass") {
    life.now += command.ms;
    return;
  }
  if (looks) {
    writer.seen = turnsIdentity(life.record);
    writer.seenTurn = life.turns().length;
  }
  let change: Change | null;
  try {
    change = attempt(life, writer, command);
  } catch (error) {
    // Refusals are typed; anything else is a mistake in a rule.
    if (error instanceof SessionError) return;
    throw error;
  }
  if (change === null) return;
  const before = life.record;
  checkChange(life, before, change, writer, command);
  assert.ok(change.record);
  life.splice(change);
  life.record = change.record;
  if (command.do === "truncate") life.truncated = true;
  if (command.do === "postpone") life.postponedTo = life.now + 60_000;
  checkSession(life);
  // Who wrote knows what it wrote.
  if (change.record.turnsVersion !== before.turnsVersion && writer.seen.version === before.turnsVersion) {
    writer.seen = turnsIdentity(change.record);
    writer.seenTurn = life.turns().length;
  }
  const { lease } = change.record;
  if (lease !== null && lease.fence !== before.lease?.fence && lease.ticket === undefined) writer.fence = lease.fence;
}

function attempt(life: Life, memory: Memory, command: Exclude<Command, { do: "pass" }>): Change | null {
  const { record } = life;
  const context = life.context();
  const draft = draftOf(record);
  const instance = `i${life.writers.indexOf(memory)}`;
  const as = (leased: boolean): Writer => ({ ...memory, instance, fence: leased ? memory.fence : null });
  switch (command.do) {
    case "append": {
      const { seq: _seq, at: _at, status, ...turn } = command.turn;
      assert.ok(status !== "open" && status !== "waiting");
      return appendTurn(draft, { turn: { ...turn, key: null, status }, writer: as(command.leased) }, context);
    }
    case "begin": {
      if (command.recovers) clearDead(draft, life);
      const lease = command.takes || memory.fence === null ? { instance, ttlMs: null, ticket: null } : null;
      const turn = { key: command.key, agent: "ceo", input: command.input };
      return beginTurn(draft, { turn, writer: as(lease === null), lease }, context);
    }
    case "chunk":
      return addChunks(record, { chunks: command.chunks, fence: memory.fence ?? 0, chunkBytes: 100 }, context);
    case "seal": {
      const open = life.turns().at(-1);
      if (open === undefined) return null;
      const { status, output, usage, requests, durationMs = 0 } = command.turn;
      assert.ok(status !== "open" && status !== "waiting");
      const sealing = { status, output, requests, durationMs, ...(usage && { usage }) };
      return sealTurn(
        draft,
        { open, sealing, fence: memory.fence ?? 0, release: command.release, replaced: [] },
        context,
      );
    }
    case "wait": {
      const open = life.turns().at(-1);
      if (open === undefined) return null;
      const output = assemble(readableChunks(life.logs.get("chunks") ?? []));
      const waiting = {
        token: `token-${life.now}`,
        reason: "approval",
        since: life.now,
        expiresAt: command.forMs === null ? null : life.now + command.forMs,
      };
      return waitTurn(
        record,
        {
          turn: { ...open, output },
          usageSoFar: { requests: open.requests + 1 },
          resume: { state: { run: 1 }, notRun: [], asks: [] },
          waiting,
          fence: memory.fence ?? 0,
          release: command.release,
          rest: { chunks: [{ text: "…" }], chunkBytes: 100 },
        },
        context,
      );
    }
    case "resume": {
      const turn = life.turns().at(-1);
      if (turn === undefined) return null;
      const token = command.knows ? (record.waiting?.token ?? "none") : "other";
      const lease =
        command.leased && memory.fence !== null ? null : { instance, ttlMs: null, ticket: null, ahead: true };
      return resumeTurn(draft, { token, turn, writer: as(command.leased), lease }, context);
    }
    case "interruptWait": {
      const remains = life.remains();
      if (record.waiting === null || remains === null) return null;
      sealLeft(draft, remains, endOfWait(record, "cancelled", life.now), context);
      return changeOf(draft);
    }
    case "truncate": {
      const turns = life.turns();
      const after = Math.min(command.keep, turns.length);
      const sums = new TruncatedSums();
      for (const turn of turns.slice(after)) sums.add(turn, 0);
      return truncateTurns(draft, { after, truncated: sums.result, writer: as(command.leased) }, context);
    }
    case "take":
      clearDead(draft, life);
      grant(draft, { instance, ttlMs: command.ttlMs, ticket: command.ticket }, context);
      return changeOf(draft);
    case "recover":
      if (record.lease === null) return null;
      recover(draft, life.remains(), { reason: "its writer is no longer alive", to: null }, context);
      return changeOf(draft);
    case "release":
      return releaseLease(record, memory.fence ?? 0, context);
    case "renew":
      return renewLease(record, { fence: memory.fence ?? 0, ttlMs: command.ttlMs }, context);
    case "cancel":
      return requestCancel(record, context);
    case "join":
      return joinQueue(
        record,
        [{ ticket: command.ticket, instance, until: life.now + command.forMs, leaseMs: null }],
        context,
      );
    case "leave":
      return leaveQueue(record, command.ticket, context);
    case "touch":
      return touchSession(record, context);
    case "update":
      return updateSession(record, { ttlMs: command.ttlMs, maxAgeMs: command.maxAgeMs }, context);
    case "passivate":
      return passivateSession(
        draft,
        { reason: "idle", ...(command.gives && memory.fence !== null && { fence: memory.fence }) },
        context,
      );
    case "activate":
      return activateSession(draft, { instance, reason: "a message" }, context);
    case "fail":
      return failSession(draft, { cause: { code: "thrown", message: "no" } }, context);
    case "takeOver":
      if (record.lease === null) return null;
      recover(draft, life.remains(), { reason: "another writer took over", to: instance }, context);
      grant(draft, { instance, ttlMs: null, ticket: null, ahead: true }, context);
      return changeOf(draft);
    case "handOff":
      return handOff(record, { agent: command.agent, ttlMs: command.ttlMs, note: null }, context);
    case "conflict": {
      const { seenTurn } = memory;
      const seenVersion = memory.seen.version;
      const stored = { storedTurn: life.turns().length, storedVersion: record.turnsVersion };
      return appendConflicts(draft, [{ seenTurn, seenVersion, ...stored }], context);
    }
    case "giveBack":
      return endHandoff(record, context);
    case "reassign":
      return updateSession(record, { user: command.user }, context);
    case "claim":
      return claimSession(record, { user: command.user, ttlMs: 3_600_000 }, context);
    case "expire":
      return expireSession(draft, context);
    case "postpone":
      return postponeSweep(draftOf(record), context);
    case "revive":
      return stateAt(record, life.now) === "expired" ? reviveSession(draft, context) : null;
    case "end":
      return endSession(draft, { fence: command.leased ? memory.fence : null, reason: "enough" }, context);
  }
}

/** Clear a lease whose time is up, as who wants to write next does. */
function clearDead(draft: Draft, life: Life): void {
  const { lease } = draft.record;
  if (lease !== null && !leaseRuns(lease, life.now))
    recover(
      draft,
      draft.record.waiting === null ? life.remains() : null,
      { reason: "its time ran out", to: null },
      life.context(),
    );
}

/** Rules that a lease holder uses under its own fence. */
const underFence = new Set<Command["do"]>(["chunk", "seal", "wait", "release", "renew"]);
/** Rules that nobody may use who has not seen all turns. */
const onSight = new Set<Command["do"]>(["append", "begin", "truncate"]);

function checkChange(life: Life, before: SessionRecord, change: Change, writer: Memory, command: Command): void {
  const after = change.record;
  assert.ok(after);
  assert.deepEqual(change.key, { tenant: before.tenant, id: before.id });
  assert.deepEqual(change.expected, { version: before.version, commitId: before.commitId });
  assert.equal(after.version, before.version + 1, "versions run on");

  // Fences.
  assert.ok(after.fence >= before.fence, "the fence never falls");
  if (after.lease !== null && after.lease.fence !== before.lease?.fence)
    assert.ok(after.fence > before.fence, "every new lease has a greater fence than any before");
  if (after.lease !== null && after.lease.fence !== before.lease?.fence) {
    const first = before.waiters.find(({ until }) => until > life.now);
    const ticket = after.lease.ticket ?? (command.do === "take" ? command.ticket : null);
    const isGranted = command.do === "take" && before.lease?.ticket === command.ticket;
    const passes = command.do === "takeOver" || command.do === "resume" || isGranted;
    if (first !== undefined && !passes)
      assert.equal(ticket, first.ticket, "the lease goes to the first waiter of the queue");
    if (!passes)
      assert.ok(!after.waiters.some((one) => one.ticket === first?.ticket), "who was served waits no longer");
  }
  if (before.lease !== null && after.lease === null && command.do === "recover")
    assert.ok(after.fence > before.lease.fence, "clearing a lease supersedes its holder");
  if (underFence.has(command.do))
    assert.equal(writer.fence, before.lease?.fence, "a superseded holder changes nothing");
  if (onSight.has(command.do)) assert.deepEqual(writer.seen, turnsIdentity(before), "nobody writes on stale knowledge");
  if (onSight.has(command.do) && before.lease !== null && leaseRuns(before.lease, life.now))
    assert.equal(writer.fence, before.lease.fence, "nobody writes beside a holder");

  if (command.do === "resume") {
    assert.ok(before.waiting, "only a turn that waits is resumed");
    assert.equal(after.waiting, null, "a token resumes once");
    assert.ok(before.waiting.expiresAt === null || before.waiting.expiresAt > life.now, "in time");
    assert.ok(after.lease, "by one writer");
  }

  // What was seen of the turns goes stale exactly when they change.
  const changesTurns = change.splices.some(({ log }) => log === "turns");
  assert.equal(after.turnsVersion, changesTurns ? after.version : before.turnsVersion);
  for (const { log, key } of change.claims)
    assert.ok(change.splices.some((one) => one.log === log && one.entries.some((entry) => entry.key === key)));

  if (command.do === "conflict") {
    const { version: _, heads: __, ...rest } = after;
    const { version: ___, heads: ____, ...asBefore } = before;
    assert.deepEqual(rest, asBefore, "to tell of a conflict changes nothing else");
  }

  // Usage stays counted.
  for (const counter of ["requests", "inputTokens", "outputTokens", "totalTokens", "durationMs", "longestMs"] as const)
    assert.ok(after.counters[counter] >= before.counters[counter], `${counter} never goes down`);

  if (after.state === "expired" && before.state !== "expired")
    assert.equal(after.stateSince, expiredSince(before), "the state expired begins when the time was up");
  else if (after.state !== before.state) assert.equal(after.stateSince, life.now, "a new state begins now");
  else if (command.do !== "revive") assert.equal(after.stateSince, before.stateSince, "the same state goes on");
  assert.ok(after.lastActivityAt >= before.lastActivityAt);
  if (onSight.has(command.do))
    assert.notEqual(stateAt(before, life.now), "expired", "no new turn in an expired session");
}

function checkSession(life: Life): void {
  const { record, logs, now } = life;
  for (const [log, entries] of logs) {
    assert.equal(record.heads[log] ?? 0, entries.length, `the record counts the ${log}`);
    for (const [index, { seq }] of entries.entries()) assert.equal(seq, index + 1, `${log} has no gap`);
  }
  assert.deepEqual(Object.keys(record.heads).toSorted(), [...logs.keys()].toSorted());

  const turns = life.turns();
  for (const [index, { status, seq, output }] of turns.entries()) {
    assert.equal(isSealed({ status }), seq !== record.openTurn, "the open turn is the one the record names");
    assert.ok(isSealed({ status }) || index === turns.length - 1, "and the last");
    assert.equal(
      status === "waiting",
      seq === record.openTurn && record.waiting !== null,
      "a record knows that it waits",
    );
    if (status === "interrupted" && turns[index]?.error?.code === "interrupted")
      assert.deepEqual(danglingToolCalls(output), [], "what was sealed for a dead writer has no dangling tool call");
  }
  if (record.openTurn !== null) assert.ok(record.lease ?? record.waiting, "an open turn has a holder, or waits");
  if (record.waiting !== null) assert.equal(record.cancel, null, "a turn that waits has no writer to ask");
  if (record.waiting?.expiresAt != null && (record.state === "active" || record.state === "inactive"))
    assert.ok(
      record.sweepAt <= Math.max(record.waiting.expiresAt, life.postponedTo),
      "the sweep comes when its time is up",
    );
  if (record.lease !== null) assert.equal(record.lease.fence, record.fence, "the holder's fence is the greatest");
  if (record.cancel !== null) assert.equal(record.cancel.turn, record.openTurn, "a wish to stop is for the open turn");
  if (record.openTurn === null) assert.equal(logs.get("chunks")?.length ?? 0, 0, "chunks vanish with the seal");

  const counted = countAll(turns);
  assert.equal(record.counters.turns, counted.turns);
  assert.equal(record.counters.messages, counted.messages);
  if (!life.truncated) assert.deepEqual(record.counters, counted, "counters and log agree");
  const check = new SessionCheck(record);
  for (const [log, entries] of logs) for (const entry of entries) check.add(log, entry);
  assert.deepEqual(check.result(), { problems: [], repair: null }, "the check finds nothing");
  const usage = countTruncatedUsage(counted, (logs.get(truncatedUsageLog) ?? []).map(truncatedUsageOf));
  assert.deepEqual(record.counters, usage, "what was cut off is counted where it was kept");

  const sliding = record.lastActivityAt + record.ttlMs;
  const cap = record.maxAgeMs === null ? Number.POSITIVE_INFINITY : record.maxAgeFrom + record.maxAgeMs;
  assert.equal(record.expiresAt, Math.min(sliding, cap));
  const live = record.state === "active" || record.state === "inactive";
  if (live) assert.ok(record.sweepAt <= Math.max(record.expiresAt, life.postponedTo), "the sweep comes by in time");
  assert.ok(record.waiters.length <= limits.waitersMax);
  assert.equal(new Set(record.waiters.map(({ ticket }) => ticket)).size, record.waiters.length);
  assert.ok(record.lastActivityAt <= now);

  assert.deepStrictEqual(recordOf(rowOf(record)), record, "a row holds the whole record");
}
