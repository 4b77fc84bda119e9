/**
 * What was said while the store was away, until it is told to the store. A session of the fallback *waits* while it has
 * turns or changes of the floor that the store has not got; they are told in order, each under its key, so that one that
 * is told twice is kept once. A session, or a turn of one, that the store refuses for good is *parked*: it stays here, the others go on.
 */
import { channel } from "node:diagnostics_channel";
import { headOf, type Transaction } from "../../domain/record/change.ts";
import { decode } from "../../domain/values/codec.ts";
import { keyText, type SessionKey } from "../../domain/record/entry.ts";
import { eventOf } from "../../domain/record/event.ts";
import { handoffAt, handOff, endHandoff } from "../../domain/record/handoff.ts";
import { removeSession, type NewSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { isInternalScope } from "../../domain/values/internal-scope.ts";
import { eachPage } from "../../domain/values/pages.ts";
import { turnOf, type Turn } from "../../domain/turns/turn.ts";
import { appendTurn } from "../../domain/turns/turns.ts";
import { putMark } from "../core/fork-references.ts";
import { hasCode, SessionError, type ErrorCode } from "../../errors.ts";
import { guardSameContent, writeOnce } from "../turns/keyed-write.ts";
import type { Core } from "../core/core.ts";
import { isDeviceName } from "../core/keyed-hash.ts";
import { openWay, wayOf } from "../devices/device-route.ts";
import { Handle } from "../core/handle.ts";
import type { Rule } from "../core/writable-session.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { ensureOn } from "../session/opening.ts";
import { OutboxSums, type OutboxState } from "./outbox-sums.ts";
import { ToldLog, type Told } from "./replay-progress.ts";

const pageSize = 100;
/** Who holds a session of the fallback may go on with it for so long after its last word. */
const keptMs = 10 * 60_000;
/** So often may others' turns come in between. */
const attemptsMax = 50;

/** What is published on the channel `perdure:replay` once the store was told of a session, or refused what was said in it. */
export interface ReplayNews {
  readonly tenant: string;
  readonly session: string;
  /** The number of the last turn that the store has got. */
  readonly turns?: number;
  /** Why it refused all that waits of the session, or the one `turn`. */
  readonly parked?: ErrorCode;
  readonly turn?: number;
  /** Why it could not be sent now; it is tried again. Published where the code changes. */
  readonly failing?: ErrorCode;
}

const replay = channel("perdure:replay");

/** Replaying one session takes at most this long, for the time in a mark. */
const replayMs = 3_600_000;
/** Refusals that are about one turn. */
const ofTheTurn: readonly ErrorCode[] = ["key_reused", "turn_too_large", "message_invalid", "value_unstorable"];
/** Failures that are about the store, or a session that is made anew at the next try: what they befall goes on waiting. */
const ofTheStore: readonly ErrorCode[] = [
  "store_read_only",
  "store_invalid",
  "store_schema_newer",
  "session_not_found",
  "secret_missing",
  "closed",
];

export class Outbox {
  readonly #fallback: Core;
  readonly #store: Core;
  readonly #told: ToldLog;
  /** Why the store refused sessions for good. */
  readonly #parked = new Map<string, ErrorCode>();
  readonly #sums = new OutboxSums();
  #counting: Promise<void> | undefined;
  #isCounted = false;
  /** What changed while the rest was counted. */
  readonly #changed = new Set<string>();
  /** Changed sessions of which this process has not read yet how far they were sent. */
  readonly #unread = new Map<string, SessionRecord>();

  /** `fallback` holds what was said, `store` is to be told. */
  constructor({ fallback, store }: { fallback: Core; store: Core }) {
    this.#fallback = fallback;
    this.#store = store;
    this.#told = new ToldLog(fallback);
    fallback.onFallbackCommit = (transaction) => this.#landed(transaction);
  }

  async state(): Promise<OutboxState> {
    await this.#countedAll();
    for (const record of this.#unread.values()) await this.#read(record);
    return this.#sums.state;
  }

  /** What an earlier process left in a file is counted once; what changes since then, as it changes. */
  async #countedAll(): Promise<void> {
    this.#counting ??= this.#countAll();
    try {
      await this.#counting;
    } catch (error) {
      this.#counting = undefined;
      throw error;
    }
  }

  async #countAll(): Promise<void> {
    const found: SessionRecord[] = [];
    await this.#eachRecord(async (record) => void found.push(record));
    for (const record of found.toSorted((a, b) => a.lastActivityAt - b.lastActivityAt)) {
      const key = keyText(record);
      await this.#told.of(record);
      if (!this.#changed.has(key)) this.#count(record);
    }
    this.#changed.clear();
    this.#isCounted = true;
  }

  #landed(transaction: Transaction): void {
    for (const { key, record } of transaction) {
      const text = keyText(key);
      if (isInternalScope(key.tenant)) continue;
      if (this.#counting !== undefined && !this.#isCounted) this.#changed.add(text);
      if (record !== null) {
        this.#count(record);
        continue;
      }
      this.#sums.remove(key);
      this.#unread.delete(text);
      this.#parked.delete(text);
    }
  }

  #count(record: SessionRecord): void {
    const key = keyText(record);
    const told = this.#told.known(record);
    if (told === undefined) {
      this.#unread.set(key, record);
      return;
    }
    this.#unread.delete(key);
    this.#sums.set(record, told, this.#parked.get(key));
  }

  /** How far it was sent stands in the outbox: another process on the same file may have written it. */
  async #read(record: SessionRecord): Promise<void> {
    await this.#told.of(record);
    const newest = this.#unread.get(keyText(record));
    if (newest !== undefined) this.#count(newest);
  }

  /** Tell the store all that waits; false where nothing is held any more. @throws SessionError `store_unavailable` while it is away */
  async tell(): Promise<boolean> {
    // Once, while little has changed yet: health finds it done.
    await this.#countedAll();
    let holds = false;
    await this.#eachRecord(async (record) => {
      holds = true;
      try {
        await this.#tellOne(record);
        this.#failed(record, undefined);
      } catch (error) {
        if (hasCode(error, "store_unavailable") || hasCode(error, "closed")) throw error;
        // In use, or damaged, or an error that nobody expected: it goes on waiting, and the others do not wait for it.
        this.#failed(record, error instanceof SessionError ? error.code : "internal");
      }
    });
    return holds;
  }

  #failed(record: SessionRecord, code: ErrorCode | undefined): void {
    if (!this.#sums.fail(record, code) || code === undefined) return;
    replay.publish({ session: record.id, tenant: record.tenant, failing: code } satisfies ReplayNews);
  }

  /** Tell the store what waits of one session, before more is said in it there. True where something was told. */
  async tellOf(key: SessionKey): Promise<boolean> {
    const record = (await this.#fallback.find(key))?.record;
    return record !== undefined && (await this.#tellOne(record));
  }

  async #tellOne(found: SessionRecord): Promise<boolean> {
    if (this.#parked.has(keyText(found))) return false;
    const record = await this.#putInOrder(found);
    const told = await this.#told.of(record);
    const turns = sealedTurns(record);
    const events = headOf(record, "events");
    if (told.turns >= turns && told.events >= events) {
      // Where it could not be written down when it was told.
      await this.#told.keep(record);
      await this.#forget(record, told);
      return false;
    }
    try {
      const handle = await this.#open(record);
      if (told.turns < turns) await this.#markSpeaker(handle.record, record);
      while (told.turns < turns) {
        for (const turn of await this.#turnsAfter(record, told.turns, turns)) {
          await this.#tellTurn(handle, turn, told);
          told.turns = Math.max(told.turns, turn.seq);
        }
        await this.#told.keep(record);
      }
      if (await this.#movedFloor(record, told.events, events)) await this.#tellFloor(handle, record);
      told.events = events;
      await this.#told.keep(record);
      replay.publish({ session: record.id, tenant: record.tenant, turns: told.turns } satisfies ReplayNews);
      return true;
    } catch (error) {
      await this.#told.keep(record);
      if (!(error instanceof SessionError) || error.retryable || ofTheStore.includes(error.code)) throw error;
      this.#parked.set(keyText(record), error.code);
      this.#count(record);
      replay.publish({ session: record.id, tenant: record.tenant, parked: error.code } satisfies ReplayNews);
      return false;
    }
  }

  /** What a process that is gone left open is sealed, or its question would wait for ever. */
  async #putInOrder(record: SessionRecord): Promise<SessionRecord> {
    if (record.openTurn === null) return record;
    const handle = new Handle(this.#fallback, record);
    await handle.recoverAbandoned();
    return handle.record;
  }

  /** The store's session that this one stands for, as whoever opened it would have found it. */
  async #open(record: SessionRecord): Promise<Handle> {
    const { tenant, id } = record;
    const fresh = await this.#newSession(record);
    if (!isDeviceName(id)) return await ensureOn(this.#store, fresh, { onExpired: "revive", onEnded: "fail" });
    const { agent, metadata, instructions } = fresh;
    const options = { agent, metadata, ...(instructions === null ? {} : { instructions }) };
    return await openWay(this.#store, tenant, await wayOf(this.#store, tenant, id), options);
  }

  /** The store's session may be another user's: an erasure of the user who spoke while the store was away finds it by this mark. */
  async #markSpeaker(session: SessionRecord, { user }: SessionRecord): Promise<void> {
    if (user === null || user === session.user) return;
    const from = headOf(session, "turns") + 1;
    await putMark(this.#store, user, { record: session, from, until: this.#store.now() + replayMs, isTheirs: false });
  }

  async #newSession(record: SessionRecord): Promise<NewSession> {
    const { tenant, id, agent, user, metadata, ttlMs, maxAgeMs } = record;
    const loaded = await this.#fallback.find(record, [{ log: "instructions", last: 1 }]);
    const entry = loaded?.tails[0]?.[0];
    const instructions = entry === undefined ? null : (decode(entry.data) as string);
    return { key: { tenant, id }, agent, user, metadata, ttlMs, maxAgeMs, instructions };
  }

  async #turnsAfter(record: SessionRecord, after: number, to: number): Promise<readonly Turn[]> {
    const range = { log: "turns", from: after + 1, to, order: "ascending", limit: pageSize } as const;
    return (await this.#fallback.store.read(record, range)).map(turnOf);
  }

  /** A turn that the store refuses for what it is holds up none after it. */
  async #tellTurn(handle: Handle, turn: Turn, told: Told): Promise<void> {
    try {
      await this.#write(handle, turn);
    } catch (error) {
      if (!(error instanceof SessionError) || !ofTheTurn.includes(error.code)) throw error;
      told.refused[turn.seq] = error.code;
      const { tenant, id } = handle.key;
      replay.publish({ session: id, tenant, turn: turn.seq, parked: error.code } satisfies ReplayNews);
    }
  }

  /**
   * After what others have said there meanwhile: the key, not the place, makes it once.
   * @throws SessionError `key_reused` where it stands for something else there
   */
  async #write(handle: Handle, told: Turn): Promise<void> {
    const { seq: _, status, ...rest } = told;
    const turn = { ...rest, status: status === "open" ? "interrupted" : status } as const;
    const rule: Rule = (draft, context, writer) => appendTurn(draft, { turn, writer }, context);
    const { id: sessionId, tenant } = handle.key;
    await retryOnConflict({ sessionId, tenant, attemptsMax }, async () => {
      try {
        const written = await writeOnce(handle, turn.key, rule, { recovers: "dead" });
        if (written.status === "duplicate") guardSameContent(handle, turnOf(written.entry), told);
        return true;
      } catch (error) {
        if (!hasCode(error, "conflict")) throw error;
        await handle.refresh();
        return undefined;
      }
    });
  }

  /** Whether the floor changed hands since then; of what else its events tell, the store has its own. */
  async #movedFloor(record: SessionRecord, after: number, to: number): Promise<boolean> {
    for (let from = after + 1; from <= to; from += pageSize) {
      const range = { log: "events", from, to, order: "ascending", limit: pageSize } as const;
      const entries = await this.#fallback.store.read(record, range);
      if (entries.some((entry) => eventOf(entry).category === "handoff")) return true;
    }
    return false;
  }

  async #tellFloor(handle: Handle, record: SessionRecord): Promise<void> {
    const floor = handoffAt(record, this.#store.now());
    await handle.write((draft, context) => {
      if (floor === null) return endHandoff(draft.base, context);
      const { expiresAt, since: _, ...handed } = floor;
      return handOff(draft.base, { ...handed, ttlMs: Math.max(1, expiresAt - context.now) }, context);
    });
  }

  /** All of it is told, and nobody has gone on with it for a while. */
  async #forget(record: SessionRecord, told: Told): Promise<void> {
    const isIdle = this.#fallback.now() - record.lastActivityAt > keptMs;
    if (!isIdle || record.openTurn !== null || told.turns < headOf(record, "turns")) return;
    if (Object.keys(told.refused).length > 0) return;
    const outcome = await this.#fallback.commit([removeSession(record)]);
    if (outcome.status === "ok") this.#told.forget(record);
  }

  async #eachRecord(visit: (record: SessionRecord) => Promise<unknown>): Promise<void> {
    const query = { order: "due", before: Number.MAX_SAFE_INTEGER, limit: pageSize } as const;
    for await (const { records } of eachPage((after) => this.#fallback.store.find({ ...query, ...after })))
      for (const record of records) if (!isInternalScope(record.tenant)) await visit(record);
  }
}

/** The number of the last turn that is no longer being answered. */
function sealedTurns(record: SessionRecord): number {
  return record.openTurn === null ? headOf(record, "turns") : record.openTurn - 1;
}
