import { guardBudget, parseBudget } from "../../domain/record/budget.ts";
import { changeOf, headOf } from "../../domain/record/change.ts";
import { parseDuration, parseLifetime, type Duration, type Lifetime } from "../../domain/values/duration.ts";
import { parseId, parseNewId } from "../../domain/values/ids.ts";
import type { SessionEvent } from "../../domain/record/event.ts";
import { countMax, durationMaxMs } from "../../domain/values/limits.ts";
import { grant, requestCancel, withdrawWaiters } from "../../domain/turns/leases.ts";
import { handoffAt, handOff, endHandoff } from "../../domain/record/handoff.ts";
import {
  endSession,
  removeSession,
  storedInstructions,
  touchSession,
  updateSession,
  type Patch,
} from "../../domain/record/lifecycle.ts";
import type { Metadata, Budget } from "../../domain/record/record.ts";
import {
  parseMessages,
  turnOf,
  type MessageInput,
  type ReportedUsage,
  type Turn,
  type Usage,
} from "../../domain/turns/turn.ts";
import { setLegalHold, clearLegalHold } from "../../domain/record/retention.ts";
import { estimateUsage, isCount, isDurationMs, isFinish, isModelName, parseUsage } from "../../domain/turns/usage.ts";
import { appendTurn, truncateTurns, type NewTurn } from "../../domain/turns/turns.ts";
import { SessionError } from "../../errors.ts";
import { interruptions } from "../../errors/answer-problems.ts";
import { acquire } from "../turns/acquire.ts";
import type { Answer } from "../../domain/turns/answer.ts";
import { defined } from "../../domain/values/defined.ts";
import { guardNoneReplaced } from "../../domain/turns/replaced-turns.ts";
import { beginOn, lastTurn } from "../turns/begin.ts";
import { dailyGuard } from "../budgets/daily-guard.ts";
import { consult } from "../turns/consult.ts";
import { guardSameContent, writeOnce } from "../turns/keyed-write.ts";
import { parseAfter, type ConsultOptions } from "../turns/question.ts";
import { runningAnswer, untilStopped } from "../turns/running-answer.ts";
import type { ForkOptions } from "./fork.ts";
import { withoutForks } from "../core/detach-forks.ts";
import type { Core } from "../core/core.ts";
import type { Handle } from "../core/handle.ts";
import { traceCall } from "../tracing/operation.ts";
import { parseBusyPolicy, type BusyPolicy } from "../options/options.ts";
import { activeAgent, activeAgentOf, infoOf, type ActiveAgent, type SessionInfo } from "./session-info.ts";
import { SessionLease } from "../turns/session-lease.ts";
import { readTruncated, readEvents, readTurns, type EntryRange } from "../turns/entry-reader.ts";
import type { TurnInProgress } from "../turns/turn-in-progress.ts";
import { watchSession, type SessionNews, type WatchOptions } from "../turns/watch.ts";
import { parseMetadata, parseOneOf } from "../options/arguments.ts";
import { invalidArgument, invalidText } from "../../domain/values/invalid-argument.ts";

/** How a session ends. */
export interface EndOptions {
  /** The reason in the event. @default "ended" */
  readonly reason?: string;
  /** `answer`: end with the answer in progress, once it is done. @default at once */
  readonly after?: "answer";
}

/** A finished exchange to append. */
export interface TurnInput {
  /** The input; a text is one message of the user. */
  readonly input: MessageInput;
  /** The output; a text is one message of the assistant. @default no output */
  readonly output?: MessageInput;
  /** The agent that answered. @default the active agent, else the session's agent */
  readonly agent?: string;
  readonly model?: string;
  /**
   * The tokens, as far as they are known; a field that is missing or NaN is estimated.
   * @default none, which counts nothing
   */
  readonly usage?: ReportedUsage;
  readonly durationMs?: number;
  /** Calls of a model. @default 1 if there is output */
  readonly requests?: number;
  /** @default "done" */
  readonly status?: "done" | "failed" | "interrupted";
  /** Why the answer ended, such as "stop" or "length". */
  readonly finish?: string;
}

/** Options of a handoff. */
export interface HandOffOptions {
  /** The time of the handoff. @default that of the user, the agent, or `openSessions`, in this order */
  readonly ttl?: Duration;
  /** Information for the agent. */
  readonly note?: string;
  /**
   * The author of the note. The next agent reads a note of the application as an instruction, and a note of a model as
   * reported speech, because a model may repeat what a user wrote.
   * @default "application"
   */
  readonly noteFrom?: "application" | "model";
}

/** Makes a write idempotent. */
export interface WriteKey {
  /** An idempotency key, unique in the session: a retry with the same key and content returns the same turn. */
  readonly key?: string;
}

/** How `begin` begins a turn. */
export interface BeginTurnOptions extends WriteKey {
  /** The agent that answers. @default the active agent, else the session's agent */
  readonly agent?: string;
  /** The name of the model. */
  readonly model?: string;
  /** As in `ConsultOptions`: replace the turns after this one, in one commit. @default no turn is replaced */
  readonly after?: number;
}

/** The fields that `update` changes; absent fields stay. */
export interface SessionPatch {
  /** Merged key by key; `undefined` removes a key. */
  readonly metadata?: Metadata;
  /** The time to live after the last activity. */
  readonly ttl?: Lifetime;
  /** The time to live after creation, or after the last revival; null removes the limit. */
  readonly maxAge?: Duration | null;
  readonly user?: string | null;
  /** The session's agent, from the next turn on; its instructions replace those of the earlier agent. */
  readonly agent?: string;
  readonly instructions?: string;
  /** Null removes it. */
  readonly budget?: Budget | null;
}

/** The holder of a session's lease. */
export interface LeaseHolder {
  readonly instance: string;
  /** The name of its machine; null if it ended, or sent no heartbeat for a day. */
  readonly host: string | null;
  readonly pid: number | null;
  /** The URL of a host of live sessions; null for other programs. */
  readonly address: string | null;
  readonly fence: number;
  readonly acquiredAt: Date;
  readonly heldMs: number;
  /** False if it is dead, so that another writer can take the lease. */
  readonly alive: boolean;
}

/**
 * One conversation, as its owner has seen it. A turn is appended only if this object has seen all earlier turns: after
 * a turn of another writer the write fails with `conflict`, and `refresh` loads the newest state. Operations run in
 * call order. A write resolves once it is durable.
 */
export class Session {
  readonly #handle: Handle;

  /** Made by `Sessions`. @internal */
  constructor(handle: Handle) {
    this.#handle = handle;
  }

  get id(): string {
    return this.#handle.record.id;
  }

  /** False if writes are not durable: the store is `memory:`, or the session was opened in the fallback. */
  get durable(): boolean {
    return this.#handle.core.durable;
  }

  /** State, counters, deadlines and lease, as last loaded; `refresh` loads them anew. */
  get info(): SessionInfo {
    return infoOf(this.#handle.record, this.#handle.core.now());
  }

  /** Load the newest state, and count its turns as seen. @throws SessionError `session_not_found` */
  async refresh(): Promise<SessionInfo> {
    await this.#handle.operate("refresh", () => this.#handle.refresh());
    return this.info;
  }

  /**
   * Append a finished turn.
   * @throws SessionError `conflict` if another writer has appended turns, `key_reused`, `key_archived`, `busy`,
   *    `fenced`, `turn_open`, `turn_too_large`, `message_invalid`, `value_unstorable`, `budget_exceeded`,
   *    `daily_budget_exceeded`, `session_expired`, `session_ended`
   */
  append(turn: TurnInput, { key }: WriteKey = {}): Promise<Turn> {
    return traceCall(this.#handle.about("append"), () => this.#handle.countingConflicts(() => this.#append(turn, key)));
  }

  async #append(turn: TurnInput, key: string | undefined): Promise<Turn> {
    const handle = this.#handle;
    const wanted = newTurn(turn, { agent: this.#agent(turn.agent), key: handle.core.turnKey(key) });
    // A close waits for it: what was asked for before lands.
    return await handle.core.take(() => handle.inOrder(() => this.#appendNext(wanted, turn.agent)));
  }

  async #appendNext(wanted: NewTurn, named: string | undefined): Promise<Turn> {
    const handle = this.#handle;
    await handle.makeRoom();
    const guardDaily = await dailyGuard(handle.core, handle.record);
    const written = await writeOnce(
      handle,
      wanted.key,
      (draft, context, writer) => {
        guardBudget(draft.record);
        guardDaily();
        return appendTurn(draft, { turn: wanted, writer }, context);
      },
      { recovers: "dead" },
    );
    if (written.status === "duplicate") {
      const earlier = turnOf(written.entry);
      guardSameContent(handle, earlier, {
        ...wanted,
        seq: earlier.seq,
        at: earlier.at,
        agent: named ?? earlier.agent,
      });
      await this.#seeOwn(earlier.seq);
      return earlier;
    }
    if (written.status === "unchanged") throw new Error("an append changes something");
    handle.landed();
    const { seq, at } = lastTurn(written.change);
    return { seq, at, ...wanted };
  }

  /**
   * The first attempt was committed, but its response was lost: if no turn followed it, the owner has seen all turns.
   */
  async #seeOwn(seq: number): Promise<void> {
    const { record } = await this.#handle.peek();
    if (headOf(record, "turns") === seq && this.#handle.seenTurn === seq - 1) await this.#handle.refresh();
  }

  /**
   * Begin a turn; its answer follows. Resolves once the input is durable. The turn is written under the lease of this
   * object, or under one that `begin` takes and `seal` releases.
   * @throws SessionError as `append`; with `after` also `range_invalid`, `replaced_too_large`, `legal_hold`
   */
  async begin(input: MessageInput, options: BeginTurnOptions = {}): Promise<TurnInProgress> {
    return await traceCall(this.#handle.about("begin"), () =>
      this.#handle.countingConflicts(() => this.#begin(input, options)),
    );
  }

  async #begin(input: MessageInput, { key, agent, model, after }: BeginTurnOptions): Promise<TurnInProgress> {
    const handle = this.#handle;
    if (after !== undefined) handle.core.guardStore();
    const open = defined({
      key: handle.core.turnKey(key),
      agent: this.#agent(agent),
      input: parseMessages(input, "user", "input"),
      model: model === undefined ? undefined : parseModelName(model),
    });
    return await handle.inOrder(async () => {
      const replaces = after === undefined ? undefined : parseAfter(after);
      const options = { ticket: null, named: agent !== undefined, after: replaces, recovers: "dead" } as const;
      const begun = await beginOn(handle, open, options);
      if (begun.status === "begun") return begun.inProgress;
      throw new SessionError("turn_not_open", { ...this.#ids(), turn: begun.turn.seq });
    });
  }

  /**
   * Ask the model with instructions, the window of past turns and the question. Resolves once the question is durable;
   * the answer streams, and its turn is sealed when it ends.
   * @throws SessionError `conflict`, `busy`, `queue_full`, `model_missing`, `message_invalid`, `key_reused` or that of
   *    the session's state; the answer throws later errors
   */
  async consult(question: MessageInput, options: ConsultOptions = {}): Promise<Answer> {
    this.#handle.core.guardOpen();
    return await this.#handle.countingConflicts(() => consult(this.#handle, question, options));
  }

  /**
   * The answer that runs now, in whichever process, from its beginning; undefined if none runs.
   * @throws SessionError `session_not_found`; the answer throws later errors
   */
  async running(): Promise<Answer | undefined> {
    return await runningAnswer(this);
  }

  /**
   * Stop the running answer, in any process; false if none runs. The turn is sealed with the output received so far: the call
   * waits for that for up to 3 s, and is true also if the writer of the turn needs longer. With a key only the question of
   * this key: while it waits for the session it is withdrawn, and rejects with `aborted`.
   * @throws SessionError `id_invalid`
   */
  async cancel({ key }: WriteKey = {}): Promise<boolean> {
    const parsed = key === undefined ? undefined : parseId(key, "key");
    const stopped = await this.#handle.operate("cancel", async () => {
      const handle = this.#handle;
      await handle.peek();
      let turn: number | undefined;
      if (parsed !== undefined) {
        const waited = await handle.write(({ record }, context) => withdrawWaiters(record, parsed, context));
        if (waited.status === "ok") return "withdrawn";
        // Looked for after the queue: a question leaves the queue in the commit that begins its turn.
        turn = (await handle.entryByKey(parsed))?.seq;
        if (turn === undefined) return undefined;
      }
      const written = await handle.write(({ record }, context) =>
        turn === undefined || turn === record.openTurn ? requestCancel(record, context) : null,
      );
      return written.status === "ok" ? handle.record.cancel?.turn : undefined;
    });
    // Outside of the operation: later calls of this session need not wait for the writer.
    if (typeof stopped === "number") await untilStopped(this.#handle, stopped);
    return stopped !== undefined;
  }

  /**
   * The turns, oldest first: the last so many, or from one number to another, bounds included. A turn that cannot be
   * read is left out, and `onUnreadable` of the range names it.
   * @throws SessionError `range_invalid`, `argument_invalid`
   */
  turns(range: EntryRange = {}): AsyncIterable<Turn> {
    return readTurns(this.#handle, range);
  }

  /**
   * Watches the session: turns and chunks of answers, as any process commits them. Ends with the session's life, or with
   * the turn that is open then. A watch delays no write, and passes over turns and chunks that cannot be read.
   * @throws SessionError `session_not_found` once the session is removed, `argument_invalid`, `closed`
   */
  watch(options: WatchOptions = {}): AsyncIterable<SessionNews> {
    return watchSession(this.#handle, options);
  }

  /** The startup context that the session was created with or last given; undefined if it has none. */
  async instructions(): Promise<string | undefined> {
    return await traceCall(this.#handle.about("instructions"), async () => {
      const { tails } = await this.#handle.peek([{ log: "instructions", last: 1 }]);
      return storedInstructions(tails[0]?.[0]);
    });
  }

  /**
   * Delete the turns after number `after`; 0 deletes all. Their usage stays counted.
   * @throws SessionError `range_invalid`, `conflict`, `busy`, `fenced`, `turn_open`, `legal_hold`
   */
  async truncate(after: number): Promise<void> {
    const handle = this.#handle;
    this.#handle.core.guardStore();
    await handle.operate("truncate", async () => {
      // A turn that a dead writer left open is sealed first, so that its messages are counted.
      await handle.recoverAbandoned();
      const head = handle.seenTurn;
      if (!Number.isInteger(after) || after < 0 || after > head) {
        throw new SessionError("range_invalid", { from: after, to: head });
      }
      if (after === head) return;
      const truncated = await readTruncated(handle, { from: after + 1, to: head });
      await handle.countingConflicts(() =>
        withoutForks(handle, () =>
          handle.write((draft, context, writer) => truncateTurns(draft, { after, truncated, writer }, context)),
        ),
      );
    });
  }

  /**
   * Change metadata, deadlines, user, agent, instructions or budget.
   * @throws SessionError `metadata_too_large`, `agent_unknown`, `session_expired` …
   */
  async update(patch: SessionPatch): Promise<void> {
    this.#handle.core.guardStore();
    await traceCall(this.#handle.about("update"), async () => {
      const parsed = parsePatch(this.#handle.core, patch);
      await this.#handle.inOrder(() =>
        this.#handle.write(({ record }, context) => updateSession(record, parsed, context)),
      );
    });
  }

  /**
   * Make an agent the active one, for a time: it answers in every process. A handoff to the active agent prolongs its
   * time.
   * @throws SessionError `agent_unknown`, `duration_invalid`, `argument_invalid` for a note that is too long,
   *    `session_expired` …
   */
  async handOff(agent: string, options: HandOffOptions = {}): Promise<ActiveAgent> {
    return await traceCall(this.#handle.about("handOff"), () => this.#handOff(agent, options));
  }

  async #handOff(agent: string, { ttl, note, noteFrom = "application" }: HandOffOptions): Promise<ActiveAgent> {
    const handle = this.#handle;
    const named = this.#agent(agent);
    const given = ttl === undefined ? undefined : parseDuration(ttl, "ttl");
    const parsedNote = note === undefined ? null : parseNote(note, "note", handle.core.options.limits.noteLengthMax);
    parseOneOf(noteFrom, "noteFrom", ["application", "model"]);
    const origin = noteFrom === "application" ? { noteFrom } : {};
    return await handle.inOrder(async () => {
      await handle.write(({ record }, context) => {
        const ttlMs = given ?? handle.core.handoffTtlMs(named, record.user);
        return handOff(record, { agent: named, ttlMs, note: parsedNote, ...origin }, context);
      });
      const { handoff } = handle.record;
      if (handoff === null) throw new Error("a handoff has an active agent");
      return activeAgent(handoff);
    });
  }

  /**
   * Load the active agent; null: none, or its time is up. The turns in the store do not count as seen.
   * @throws SessionError `session_not_found`
   */
  async activeAgent(): Promise<ActiveAgent | null> {
    return await traceCall(this.#handle.about("activeAgent"), async () => {
      const { record } = await this.#handle.peek();
      return activeAgentOf(record, this.#handle.core.now());
    });
  }

  /** End the handoff; false if there is none. */
  async endHandoff(): Promise<boolean> {
    return await this.#handle.operate("endHandoff", async () => {
      await this.#handle.peek();
      const had = handoffAt(this.#handle.record, this.#handle.core.now()) !== null;
      await this.#handle.write(({ record }, context) => endHandoff(record, context));
      return had;
    });
  }

  /**
   * The events, oldest first: the last so many, or from one number to another, bounds included. Events are changes
   * other than turns, such as handoffs, claims and archiving. An event that cannot be read is left out, and
   * `onUnreadable` of the range names it.
   * @throws SessionError `range_invalid`, `argument_invalid`
   */
  events(range: EntryRange = {}): AsyncIterable<SessionEvent> {
    return readEvents(this.#handle, range);
  }

  /** Record activity: moves the sliding deadline. @throws SessionError `session_expired` … */
  async touch(): Promise<void> {
    await this.#handle.operate("touch", () =>
      this.#handle.write(({ record }, context) => touchSession(record, context)),
    );
  }

  /**
   * Take the lease for this object, until it is released or its process ends. `wait`: queue for it; then `refresh` to
   * load what was written meanwhile.
   * @param options `ttl`: the lease ends by itself after this time
   * @throws SessionError `busy`, `queue_full`
   */
  async lease({ ttl, wait }: { ttl?: Duration; wait?: Duration } = {}): Promise<SessionLease> {
    return await traceCall(this.#handle.about("lease"), async () => {
      const ttlMs = ttl === undefined ? null : parseDuration(ttl, "ttl");
      const waitMs = wait === undefined ? 0 : parseDuration(wait, "wait");
      return await takeLease(this.#handle, { ttlMs, busy: wait === undefined ? "reject" : "queue", waitMs });
    });
  }

  /**
   * Run `work` as the only writer, with a `Session` that has seen all turns.
   * @throws SessionError `busy`, `queue_full`, and the errors of `work`
   */
  async exclusive<T>(
    work: (session: Session) => Promise<T>,
    options: { busy?: BusyPolicy; wait?: Duration } = {},
  ): Promise<T> {
    return await traceCall(this.#handle.about("exclusive"), () => this.#exclusive(work, options));
  }

  async #exclusive<T>(
    work: (session: Session) => Promise<T>,
    { busy, wait }: { busy?: BusyPolicy; wait?: Duration },
  ): Promise<T> {
    const { options } = this.#handle.core;
    await this.#handle.inOrder(() => Promise.resolve());
    const handle = this.#handle.anotherView();
    const lease = await takeLease(handle, {
      ttlMs: null,
      busy: busy === undefined ? options.busy : parseBusyPolicy(busy),
      waitMs: wait === undefined ? options.waitMs : parseDuration(wait, "wait"),
    });
    try {
      handle.seeAll();
      return await work(new Session(handle));
    } finally {
      await lease.release();
      this.#handle.follow(handle);
    }
  }

  /**
   * The turn that was written under this idempotency key; undefined if there is none.
   * @throws SessionError `id_invalid`
   */
  async turnByKey(key: string): Promise<Turn | undefined> {
    const parsed = parseId(key, "key");
    return await traceCall(this.#handle.about("turns"), async () => {
      await this.#handle.peek();
      const entry = await this.#handle.entryByKey(parsed);
      return entry && turnOf(entry);
    });
  }

  /** Load the holder of the lease, and check whether it is alive; null: no lease. */
  async leaseHolder(): Promise<LeaseHolder | null> {
    return await traceCall(this.#handle.about("leaseHolder"), () => this.#leaseHolder());
  }

  async #leaseHolder(): Promise<LeaseHolder | null> {
    const { record } = await this.#handle.peek();
    const { lease } = record;
    if (lease === null) return null;
    const { core } = this.#handle;
    const { instances } = await core.store.instances([lease.instance]);
    const alive = await core.instance.isAlive(record, lease);
    const acquiredAt = new Date(lease.acquiredAt);
    const { host = null, pid = null, address = null } = instances[0] ?? {};
    return {
      instance: lease.instance,
      host,
      pid,
      address,
      fence: lease.fence,
      acquiredAt,
      heldMs: core.now() - lease.acquiredAt,
      alive,
    };
  }

  /**
   * Recover from a dead writer: clear its lease and seal the turn that it left open. False if the writer is alive, or
   * left nothing.
   */
  async recover(): Promise<boolean> {
    return await this.#handle.operate("recover", async () => {
      const { core, key } = this.#handle;
      // The record of a watched session is at most one poll old, and the write compares it.
      const polled = core.poller.recordOf(key);
      if (polled === undefined) await this.#handle.peek();
      else this.#handle.learn(polled);
      return (await this.#handle.recoverAbandoned()).status === "ok";
    });
  }

  /**
   * Break the lease of any holder: its next write fails with `fenced`, and its open turn is sealed. False if there is
   * no lease.
   */
  async breakLease(): Promise<boolean> {
    return await this.#handle.operate("breakLease", async () => {
      await this.#handle.peek();
      const written = await this.#handle.recoverAbandoned({ recovers: "any", reason: interruptions.lease_broken });
      return written.status === "ok";
    });
  }

  /**
   * End the session. It can still be read, and its events have the reason. With `after: "answer"`, which a tool may call,
   * the session ends in the commit that stores the answer in progress in this process; without such an answer it ends at
   * once. An answer that fails or is stopped does not end it.
   * @throws SessionError `busy` while another writer has the lease, `turn_open`, `argument_invalid` for a reason that
   *    is too long
   */
  async end({ reason = "ended", after }: EndOptions = {}): Promise<void> {
    const { core, key } = this.#handle;
    core.guardStore();
    const parsed = parseNote(reason, "reason", core.options.limits.noteLengthMax);
    if (after !== undefined && after !== "answer")
      throw invalidArgument("after", after, { expected: "one_of", known: ["answer"] });
    if (after === "answer" && [...core.turns].some((turn) => turn.isOf(key) && turn.endsSession(parsed))) return;
    await this.#handle.operate("end", () =>
      this.#handle.write((draft, context, { fence }) => endSession(draft, { fence, reason: parsed }, context), {
        recovers: "dead",
      }),
    );
  }

  /**
   * Fork the session: the new session shares the turns up to one of this session, and later turns are separate. The
   * cost does not depend on the length of the log. If this session is removed, truncated or archived, the fork keeps
   * its turns.
   * @throws SessionError `range_invalid`, `turn_open`, `session_exists`, `id_invalid`
   */
  async fork(options: ForkOptions = {}): Promise<Session> {
    this.#handle.core.guardStore();
    return await this.#handle.operate("fork", async () => {
      const { forkOn } = await import("./fork.ts");
      return new Session(await forkOn(this.#handle, options));
    });
  }

  /**
   * Archive the session: its logs become one compressed log with checksums, and their rows are deleted. It is still
   * listed, counted and read; `unarchive` makes it writable again. False if it is archived already.
   * @throws SessionError `busy` while another writer has the lease, `turn_open`
   */
  async archive(): Promise<boolean> {
    this.#handle.core.guardStore();
    return await this.#handle.operate("archive", async () => {
      const { archiveOn } = await import("../retention/archive.ts");
      return await archiveOn(this.#handle);
    });
  }

  /**
   * Restore an archived session in its earlier state; false if it is not archived.
   * @throws SessionError `store_invalid` for a damaged archive
   */
  async unarchive(): Promise<boolean> {
    this.#handle.core.guardStore();
    return await this.#handle.operate("unarchive", async () => {
      const { unarchiveOn } = await import("../retention/archive.ts");
      return await unarchiveOn(this.#handle);
    });
  }

  /**
   * Put the session under legal hold: until `clearLegalHold` it cannot be removed, truncated or erased. A new reason
   * replaces the earlier one.
   * @throws SessionError `argument_invalid` for a reason that is empty or too long; `turn_open` while a question of
   *   `consult({ after })` is being answered: its end deletes the replaced turns, or puts them back
   */
  async setLegalHold(reason: string): Promise<void> {
    this.#handle.core.guardStore();
    const parsed = parseReason(reason, this.#handle.core.options.limits.noteLengthMax);
    await this.#handle.operate("setLegalHold", () =>
      this.#handle.write(
        (draft, context) => {
          guardNoneReplaced(draft.record);
          return setLegalHold(draft, parsed, context);
        },
        { recovers: "dead" },
      ),
    );
  }

  /** End the legal hold; false if there is none. */
  async clearLegalHold(): Promise<boolean> {
    this.#handle.core.guardStore();
    return await this.#handle.operate("clearLegalHold", async () => {
      await this.#handle.peek();
      const written = await this.#handle.write(({ record }, context) => clearLegalHold(record, context));
      return written.status === "ok";
    });
  }

  /** Remove the session with all its data. @throws SessionError `legal_hold` */
  async remove(): Promise<void> {
    this.#handle.core.guardStore();
    const handle = this.#handle;
    await handle.operate("remove", () =>
      withoutForks(handle, () => handle.write(({ record }) => removeSession(record))),
    );
  }

  #agent(name: string | undefined): string {
    const { core, record } = this.#handle;
    if (name === undefined) return core.chooseAgent(record, {}).agent;
    core.agent(parseNewId(name, "agent"));
    return name;
  }

  #ids(): { sessionId: string; tenant: string } {
    return { sessionId: this.id, tenant: this.#handle.record.tenant };
  }
}

async function takeLease(
  handle: Handle,
  { ttlMs, busy, waitMs }: { ttlMs: number | null; busy: BusyPolicy; waitMs: number },
): Promise<SessionLease> {
  const { core } = handle;
  core.guardOpen();
  await core.instance.ensureAlive();
  return await acquire(handle, { busy, waitMs }, (ticket, options) =>
    core.take(async () => {
      await handle.write((draft, context) => {
        const ahead = options.recovers === "any";
        grant(draft, { instance: core.instance.id, ttlMs, ticket, ahead }, context);
        return changeOf(draft);
      }, options);
      return new SessionLease(handle);
    }),
  );
}

const sealedStatuses = ["done", "failed", "interrupted"] as const;

function newTurn(turn: TurnInput, { agent, key }: { agent: string; key: string | null }): NewTurn {
  const output = turn.output === undefined ? [] : parseMessages(turn.output, "assistant", "output");
  const { status = "done", requests = output.length > 0 ? 1 : 0, durationMs } = turn;
  parseOneOf(status, "status", sealedStatuses);
  const input = parseMessages(turn.input, "user", "input");
  return defined({
    key: key === null ? null : parseId(key, "key"),
    status,
    agent,
    model: turn.model === undefined ? undefined : parseModelName(turn.model),
    input,
    output,
    usage: turn.usage === undefined ? undefined : usageOf(turn.usage, { input, output }),
    requests: parseCount(requests, "requests"),
    durationMs: durationMs === undefined ? undefined : parseDurationMs(durationMs),
    finish: turn.finish === undefined ? undefined : parseFinish(turn.finish),
  });
}

const usageNames = ["inputTokens", "outputTokens", "totalTokens", "cachedTokens", "reasoningTokens"] as const;

/** @throws SessionError `argument_invalid` for a value that is not a count: an error of the caller */
function usageOf(usage: ReportedUsage, { input, output }: Pick<Turn, "input" | "output">): Usage {
  for (const name of Object.keys(usage ?? {})) {
    const known = [...usageNames, "estimated"];
    if (!known.includes(name)) throw invalidArgument("field of usage", name, { expected: "one_of", known });
  }
  for (const name of usageNames) {
    const value: unknown = usage?.[name];
    if (value !== undefined && value !== null && !Number.isNaN(value)) parseCount(value, `usage.${name}`);
  }
  return parseUsage(usage, () => estimateUsage(input, output));
}

function parseModelName(name: string): string {
  if (isModelName(name)) return name;
  throw invalidArgument("model", name, { expected: "name", min: 1, max: 256 });
}

function parseFinish(finish: string): string {
  if (isFinish(finish)) return finish;
  throw invalidArgument("finish", finish, { expected: "name", min: 1, max: 64 });
}

function parseDurationMs(ms: number): number {
  if (isDurationMs(ms)) return ms;
  throw invalidArgument("durationMs", ms, { expected: "whole_number", min: 0, max: durationMaxMs });
}

function parseNote(note: string, name: string, lengthMax: number): string {
  if (typeof note === "string" && note.length <= lengthMax) return note;
  throw invalidText(name, note, { max: lengthMax });
}

function parseReason(reason: string, lengthMax: number): string {
  if (typeof reason === "string" && reason.trim() !== "" && reason.length <= lengthMax) return reason;
  throw invalidText("reason", reason, { min: 1, max: lengthMax });
}

function parseCount(value: unknown, name: string): number {
  if (isCount(value)) return value;
  throw invalidArgument(name, value, { expected: "whole_number", min: 0, max: countMax });
}

function parsePatch(core: Core, { metadata, ttl, maxAge, user, agent, instructions, budget }: SessionPatch): Patch {
  return defined({
    metadata: metadata === undefined ? undefined : parseMetadata(metadata),
    ttlMs: ttl === undefined ? undefined : parseLifetime(ttl, "ttl"),
    maxAgeMs: maxAge === undefined ? undefined : maxAge === null ? null : parseDuration(maxAge, "maxAge"),
    user: user === undefined ? undefined : user === null ? null : parseNewId(user, "user"),
    agent: agent === undefined ? undefined : agentOf(core, agent),
    instructions,
    budget: budget === undefined ? undefined : budget === null ? null : parseBudget(budget),
  });
}

/** @throws SessionError `agent_unknown`, `id_invalid` */
function agentOf(core: Core, name: string): NonNullable<Patch["agent"]> {
  const { instructions = "" } = core.agent(parseNewId(name, "agent"));
  return { name, instructions };
}
