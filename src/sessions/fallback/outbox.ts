/**
 * The outbox: turns and handoffs that were written to the fallback, until they are replayed to the store. States of a
 * session in it:
 *
 * - *waiting*: it has turns or handoffs that are not in the store. They are replayed in order, each turn under its
 *   idempotency key, so a repeated replay writes it once. An error that may pass leaves it waiting; it is reported as
 *   failing.
 * - *parked*: the store refused the session, or one turn of it, for good. It stays here and does not block the others.
 * - *replayed*: it is removed once no caller has used it for a while.
 */
import { channel } from "node:diagnostics_channel";
import { headOf, type Change } from "../../domain/record/change.ts";
import { decode } from "../../domain/values/codec.ts";
import { keyText, type Entry, type SessionKey } from "../../domain/record/entry.ts";
import { readEvent } from "../../domain/record/event.ts";
import { handoffAt, handOff, endHandoff } from "../../domain/record/handoff.ts";
import { removeSession, type NewSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { isInternalScope } from "../../domain/values/internal-scope.ts";
import { eachPage } from "../../domain/values/pages.ts";
import { readTurn, turnOf, type Turn } from "../../domain/turns/turn.ts";
import { appendTurn } from "../../domain/turns/turns.ts";
import { putMark } from "../marks/mark.ts";
import { hasCode, SessionError, type ErrorCode } from "../../errors.ts";
import { guardSameContent, writeOnce } from "../turns/keyed-write.ts";
import type { Core } from "../core/core.ts";
import { isDeviceName } from "../core/keyed-hash.ts";
import { knownName } from "../devices/device-names.ts";
import { openRoute, findRoute } from "../devices/device-route.ts";
import { Handle } from "../handle/handle.ts";
import type { Rule } from "../core/writable-session.ts";
import { onceDone } from "../core/once-done.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { ensureOn } from "../session/opening.ts";
import { OutboxSums, type OutboxState } from "./outbox-sums.ts";
import { ProgressLog, type ReplayProgress } from "./replay-progress.ts";

const pageSize = 100;
/** A replayed session stays in the fallback for this time after its last activity: a caller may still hold it. */
const keptMs = 10 * 60_000;
/** Retries of a replayed turn while other writers append to the same session. */
const attemptsMax = 50;

/** Published on the channel `perdure:replay` when a session was replayed, parked, or failed. */
export interface ReplayNews {
  readonly tenant: string;
  readonly session: string;
  /** The number of the last replayed turn. */
  readonly turns?: number;
  /** The code with which the store refused the session, or one `turn` of it. */
  readonly parked?: ErrorCode;
  readonly turn?: number;
  /** The code of a failed replay, which is retried. Published when the code changes. */
  readonly failing?: ErrorCode;
}

const replays = channel("perdure:replay");

/** Time until the reference record of a replayed session expires: no replay takes longer. */
const replayMs = 3_600_000;
/** Codes that concern one turn. */
const ofTheTurn: readonly ErrorCode[] = ["key_reused", "turn_too_large", "message_invalid", "value_unstorable"];
/** Codes that concern the store, or a session that the next replay creates again: the session keeps waiting. */
const ofTheStore: readonly ErrorCode[] = [
  "store_read_only",
  "store_access_denied",
  "store_invalid",
  "store_schema_newer",
  "session_not_found",
  "secret_missing",
  "closed",
];

export class Outbox {
  readonly #fallback: Core;
  readonly #store: Core;
  readonly #progress: ProgressLog;
  /** Parked sessions, with the code of the refusal. */
  readonly #parked = new Map<string, ErrorCode>();
  readonly #sums = new OutboxSums();
  /** Counts the sessions of an earlier process; from then on each commit updates the sums. */
  readonly #countStored = onceDone(() => this.#countAll());
  #isCounting = false;
  /** Sessions that changed while the outbox was being counted. */
  readonly #changed = new Set<string>();
  /** Changed sessions whose progress this process has not read. */
  readonly #unread = new Map<string, SessionRecord>();

  /** Replays from `fallback` to `store`. */
  constructor({ fallback, store }: { fallback: Core; store: Core }) {
    this.#fallback = fallback;
    this.#store = store;
    this.#progress = new ProgressLog(fallback);
    fallback.onFallbackCommit = (transaction) => this.#onCommit(transaction);
  }

  async state(): Promise<OutboxState> {
    await this.#countStored();
    for (const record of this.#unread.values()) await this.#read(record);
    return this.#sums.state;
  }

  async #countAll(): Promise<void> {
    this.#isCounting = true;
    try {
      const found: SessionRecord[] = [];
      await this.#eachRecord(async (record) => void found.push(record));
      for (const record of found.toSorted((a, b) => a.lastActivityAt - b.lastActivityAt)) {
        const key = keyText(record);
        await this.#progress.of(record);
        if (!this.#changed.has(key)) this.#count(record);
      }
      this.#changed.clear();
    } finally {
      this.#isCounting = false;
    }
  }

  #onCommit(changes: readonly Change[]): void {
    for (const { key, record } of changes) {
      const text = keyText(key);
      if (isInternalScope(key.tenant)) continue;
      if (this.#isCounting) this.#changed.add(text);
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
    const progress = this.#progress.known(record);
    if (progress === undefined) {
      this.#unread.set(key, record);
      return;
    }
    this.#unread.delete(key);
    this.#sums.set(record, progress, this.#parked.get(key));
  }

  /** Read the progress, which another process on the same file may have written. */
  async #read(record: SessionRecord): Promise<void> {
    await this.#progress.of(record);
    const newest = this.#unread.get(keyText(record));
    if (newest !== undefined) this.#count(newest);
  }

  /** Replay the whole outbox; false once it is empty. @throws SessionError `store_unavailable` */
  async replay(): Promise<boolean> {
    // Counted here, while little has changed, so that health checks need not.
    await this.#countStored();
    let isEmpty = true;
    await this.#eachRecord(async (record) => {
      isEmpty = false;
      try {
        await this.#replayOne(record);
        this.#failed(record, undefined);
      } catch (error) {
        if (hasCode(error, "store_unavailable") || hasCode(error, "closed")) throw error;
        // A session in use, a damaged one, or an unexpected error: it keeps waiting and does not block the others.
        this.#failed(record, error instanceof SessionError ? error.code : "internal");
      }
    });
    return !isEmpty;
  }

  #failed(record: SessionRecord, code: ErrorCode | undefined): void {
    if (!this.#sums.fail(record, code) || code === undefined) return;
    replays.publish({ session: record.id, tenant: record.tenant, failing: code } satisfies ReplayNews);
  }

  /** Replay one session, before it takes new turns. True if something was replayed. */
  async replaySession(key: SessionKey): Promise<boolean> {
    const record = (await this.#fallback.find(key))?.record;
    return record !== undefined && (await this.#replayOne(record));
  }

  async #replayOne(found: SessionRecord): Promise<boolean> {
    if (this.#parked.has(keyText(found))) return false;
    const record = await this.#recoverAbandoned(found);
    const progress = await this.#progress.of(record);
    const turns = sealedTurns(record);
    const events = headOf(record, "events");
    if (progress.turns >= turns && progress.events >= events) {
      // An earlier replay may have failed before it stored its progress.
      await this.#progress.store(record);
      await this.#forget(record, progress);
      return false;
    }
    try {
      const handle = await this.#open(record);
      if (progress.turns < turns) await this.#markUser(handle.record, record);
      while (progress.turns < turns) {
        for (const entry of await this.#turnsAfter(record, progress.turns, turns)) {
          await this.#replayTurn(handle, entry, progress);
          progress.turns = Math.max(progress.turns, entry.seq);
        }
        await this.#progress.store(record);
      }
      if (await this.#hasHandoffs(record, progress.events, events)) await this.#replayHandoff(handle, record);
      progress.events = events;
      await this.#progress.store(record);
      replays.publish({ session: record.id, tenant: record.tenant, turns: progress.turns } satisfies ReplayNews);
      return true;
    } catch (error) {
      await this.#progress.store(record);
      if (!(error instanceof SessionError) || error.retryable || ofTheStore.includes(error.code)) throw error;
      this.#parked.set(keyText(record), error.code);
      this.#count(record);
      replays.publish({ session: record.id, tenant: record.tenant, parked: error.code } satisfies ReplayNews);
      return false;
    }
  }

  /** Seal a turn that a dead process left open, or it would never be replayed. */
  async #recoverAbandoned(record: SessionRecord): Promise<SessionRecord> {
    if (record.openTurn === null) return record;
    const handle = new Handle(this.#fallback, record);
    await handle.recoverAbandoned();
    return handle.record;
  }

  /** The session in the store, opened as its caller would have opened it. */
  async #open(record: SessionRecord): Promise<Handle> {
    const { tenant, id } = record;
    const fresh = await this.#newSession(record);
    if (!isDeviceName(id)) return await ensureOn(this.#store, fresh, { onExpired: "revive", onEnded: "fail" });
    const { agent, title = null, labels = {}, metadata, instructions } = fresh;
    const options = { agent, title, labels, metadata, ...(instructions === null ? {} : { instructions }) };
    const name = await knownName(this.#store, tenant, [id]);
    return await openRoute(this.#store, tenant, await findRoute(this.#store, tenant, name), options);
  }

  /** Write a reference record if the session in the store belongs to another user: an erasure finds the turns by it. */
  async #markUser(session: SessionRecord, { user }: SessionRecord): Promise<void> {
    if (user === null || user === session.user) return;
    const from = headOf(session, "turns") + 1;
    await putMark(this.#store, user, { record: session, from, until: this.#store.now() + replayMs, isTheirs: false });
  }

  async #newSession(record: SessionRecord): Promise<NewSession> {
    const { tenant, id, agent, user, title, labels, metadata, ttlMs, maxAgeMs } = record;
    const loaded = await this.#fallback.find(record, [{ log: "instructions", last: 1 }]);
    const entry = loaded?.tails[0]?.[0];
    const instructions = entry === undefined ? null : (decode(entry.data) as string);
    return { key: { tenant, id }, agent, user, title, labels, metadata, ttlMs, maxAgeMs, instructions };
  }

  async #turnsAfter(record: SessionRecord, after: number, to: number): Promise<readonly Entry[]> {
    const range = { log: "turns", from: after + 1, to, order: "ascending", limit: pageSize } as const;
    return await this.#fallback.store.read(record, range);
  }

  /** Replay one turn. A turn that cannot be read, or that the store refuses for good, does not block those after it. */
  async #replayTurn(handle: Handle, entry: Entry, progress: ReplayProgress): Promise<void> {
    const turn = readTurn(entry);
    if (typeof turn === "string") {
      this.#refuse(handle, entry, "store_invalid", progress);
      return;
    }
    try {
      await this.#write(handle, turn);
    } catch (error) {
      if (!(error instanceof SessionError) || !ofTheTurn.includes(error.code)) throw error;
      this.#refuse(handle, entry, error.code, progress);
    }
  }

  #refuse({ key: { tenant, id } }: Handle, { seq }: Entry, code: ErrorCode, progress: ReplayProgress): void {
    progress.refused[seq] = code;
    replays.publish({ session: id, tenant, turn: seq, parked: code } satisfies ReplayNews);
  }

  /**
   * Append a turn after the turns of other writers: its key, not its number, makes it unique.
   * @throws SessionError `key_reused` if another turn has the key
   */
  async #write(handle: Handle, replayed: Turn): Promise<void> {
    const { seq: _, at, status, ...rest } = replayed;
    const sealed = status === "open" || status === "waiting" ? "interrupted" : status;
    const turn = { ...rest, at: at.getTime(), status: sealed };
    const rule: Rule = (draft, context, writer) => appendTurn(draft, { turn, writer }, context);
    const { id: sessionId, tenant } = handle.key;
    await retryOnConflict({ sessionId, tenant, attemptsMax }, async () => {
      try {
        const written = await writeOnce(handle, turn.key, () => handle.write(rule, { recovers: "dead" }));
        if (written.status === "duplicate") guardSameContent(handle, turnOf(written.entry), replayed);
        return true;
      } catch (error) {
        if (!hasCode(error, "conflict")) throw error;
        await handle.refresh();
        return undefined;
      }
    });
  }

  /** True if the events of the range have a handoff. For all other events the store has appended its own. */
  async #hasHandoffs(record: SessionRecord, after: number, to: number): Promise<boolean> {
    for (let from = after + 1; from <= to; from += pageSize) {
      const range = { log: "events", from, to, order: "ascending", limit: pageSize } as const;
      const entries = await this.#fallback.store.read(record, range);
      if (entries.map(readEvent).some((event) => typeof event !== "string" && event.category === "handoff"))
        return true;
    }
    return false;
  }

  async #replayHandoff(handle: Handle, record: SessionRecord): Promise<void> {
    const handoff = handoffAt(record, this.#store.now());
    await handle.write((draft, context) => {
      if (handoff === null) return endHandoff(draft.base, context);
      const { expiresAt, since: _, ...handed } = handoff;
      return handOff(draft.base, { ...handed, ttlMs: Math.max(1, expiresAt - context.now) }, context);
    });
  }

  /** Remove a session that is replayed whole and was not active for a while. */
  async #forget(record: SessionRecord, progress: ReplayProgress): Promise<void> {
    const isIdle = this.#fallback.now() - record.lastActivityAt > keptMs;
    if (!isIdle || record.openTurn !== null || progress.turns < headOf(record, "turns")) return;
    if (Object.keys(progress.refused).length > 0) return;
    const outcome = await this.#fallback.commit([removeSession(record)]);
    if (outcome.status === "ok") this.#progress.forget(record);
  }

  async #eachRecord(visit: (record: SessionRecord) => Promise<unknown>): Promise<void> {
    const query = { order: "due", before: Number.MAX_SAFE_INTEGER, limit: pageSize } as const;
    for await (const { records } of eachPage((after) => this.#fallback.store.find({ ...query, ...after })))
      for (const record of records) if (!isInternalScope(record.tenant)) await visit(record);
  }
}

/** The number of the last sealed turn. */
function sealedTurns(record: SessionRecord): number {
  return record.openTurn === null ? headOf(record, "turns") : record.openTurn - 1;
}
