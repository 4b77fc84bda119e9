import { recordOn, type AppEvent, type RecordedEvent } from "../operations/record.ts";
import { storedInstructions, touchSession } from "../../domain/record/lifecycle.ts";
import type { SessionEvent } from "../../domain/record/event.ts";
import type { Answer } from "../../domain/turns/answer.ts";
import { turnOf, type MessageInput, type Turn } from "../../domain/turns/turn.ts";
import type { Rating } from "../../domain/memory/feedback.ts";
import type { Summary } from "../../domain/memory/summary.ts";
import type { Value } from "../../domain/values/codec.ts";
import type { Duration } from "../../domain/values/duration.ts";
import { parseId } from "../../domain/values/ids.ts";
import { guardNumber, parseFunction } from "../../domain/values/invalid-argument.ts";
import { guardObject } from "../../domain/values/option-names.ts";
import { SessionError } from "../../errors.ts";
import type { Handle } from "../handle/handle.ts";
import { parseNamedLog } from "../../domain/writes/named-logs.ts";
import { SessionLog } from "../logs/session-log.ts";
import type { SessionWrite, WriteOutcome } from "../logs/session-write.ts";
import { writeOn } from "../logs/write.ts";
import { appendOn, type WriteKey } from "../operations/append.ts";
import type { ApproveOptions, Decisions } from "../operations/approve.ts";
import { beginTurnOn, type BeginTurnOptions } from "../operations/begin.ts";
import { cancelOn } from "../operations/cancel.ts";
import { endOn, type EndOptions } from "../operations/end.ts";
import { endHandoffOn, handOffOn, type HandOffOptions } from "../operations/handoff.ts";
import { breakLeaseOn, exclusiveOn, leaseHolderOf, leaseOn, type LeaseHolder } from "../operations/lease.ts";
import { clearLegalHoldOn, setLegalHoldOn } from "../operations/legal-hold.ts";
import type { markOn, NewRating, RatingQuery, SessionMemory, SummarizeOptions } from "../operations/memory.ts";
import type { TurnInput } from "../operations/turn-input.ts";
import { updateOn, type SessionPatch } from "../operations/update.ts";
import type { BusyPolicy } from "../options/options.ts";
import { areTraced, traceCall, traceStep } from "../tracing/operation.ts";
import type { Branch, BranchComparison, BranchQuery } from "../branches/branches.ts";
import { readMessagesAs, type MessagesQuery } from "./messages-as.ts";
import { readEvents, readTurns, type EntryRange, type TurnRange } from "../turns/entry-reader.ts";
import type { ConsultOptions } from "../turns/question.ts";
import type { SessionLease } from "../turns/session-lease.ts";
import type { TurnInProgress } from "../turns/progress/turn-in-progress.ts";
import type { Seal } from "../turns/progress/seal.ts";
import type { WaitingTurn } from "../turns/progress/waiting-turn.ts";
import { watchSession, type SessionNews, type WatchOptions } from "../turns/watch.ts";
import type { ForkOptions } from "./fork.ts";
import { Attachments } from "./attachments.ts";
import { lookOn, type SessionLook, type TailQuery } from "./look.ts";
import { removeOn } from "./remove.ts";
import { activeAgent, activeAgentOf, infoOf, type ActiveAgent, type SessionInfo } from "./session-info.ts";

/** How a question is asked again. */
export interface RegenerateOptions extends Omit<ConsultOptions, "after" | "keep"> {
  /** The turn to answer again. @default the last one */
  readonly turn?: number;
}

/**
 * One conversation, as its owner has seen it. A turn is appended only if this object has seen all earlier turns: after
 * a turn of another writer the write fails with `conflict`, and `refresh` loads the newest state. Operations run in
 * call order; those called later wait for no question, answer, summary or upload. A write resolves once it is durable.
 */
export class Session {
  readonly #handle: Handle;
  readonly #busy: BusyPolicy;
  #attachments: Attachments | undefined;

  /** Made by `Sessions`. `busy`: the policy of questions that name none. @internal */
  constructor(handle: Handle, { busy = handle.core.options.busy }: { readonly busy?: BusyPolicy } = {}) {
    this.#handle = handle;
    this.#busy = busy;
  }

  get id(): string {
    return this.#handle.record.id;
  }

  /** Files and pictures of the session, which its messages refer to. */
  get attachments(): Attachments {
    return (this.#attachments ??= new Attachments(this.#handle));
  }

  /** False if writes are not durable: the store is `memory:`, or the session was opened in the fallback. */
  get durable(): boolean {
    return this.#handle.core.durable;
  }

  /** True if the session was opened in the fallback: what the store has of it is not here. @internal */
  get inFallback(): boolean {
    return this.#handle.core.isFallback;
  }

  /** State, counters, deadlines and lease, as last loaded; `refresh` loads them again. */
  get info(): SessionInfo {
    return infoOf(this.#handle.record, this.#handle.core.now());
  }

  /** True if this object has seen all turns of the state in `info`. An append fails with `conflict` otherwise. */
  get hasSeenAll(): boolean {
    return this.#handle.seenRecord !== undefined;
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
  append(turn: TurnInput, options: WriteKey = {}): Promise<Turn> {
    const handle = this.#handle;
    return areTraced()
      ? traceStep(handle.about("append"), () => appendOn(handle, turn, options))
      : appendOn(handle, turn, options);
  }

  /**
   * Begin a turn; its answer follows. Resolves once the input is durable. The turn is written under the lease of this
   * object, or under one that `begin` takes and `seal` releases.
   * @throws SessionError as `append`; with `after` also `range_invalid`, `replaced_too_large`, `legal_hold`
   */
  async begin(input: MessageInput, options: BeginTurnOptions = {}): Promise<TurnInProgress> {
    const handle = this.#handle;
    return await traceCall(handle.about("begin"), () =>
      handle.countingConflicts(() => beginTurnOn(handle, input, options)),
    );
  }

  /**
   * Ask the model with instructions, the window of past turns and the question. Resolves once the question is durable;
   * the answer streams, and its turn is sealed when it ends.
   * @throws SessionError `conflict`, `busy`, `queue_full`, `model_missing`, `message_invalid`, `key_reused` or that of
   *    the session's state; the answer throws later errors
   */
  async consult(question: MessageInput, options: ConsultOptions = {}): Promise<Answer> {
    this.#handle.core.guardOpen();
    const asked = { message: question, options, busy: this.#busy };
    return await this.#handle.countingConflicts(async () => {
      const { consult } = await import("../turns/consult.ts");
      return await consult(this.#handle, asked);
    });
  }

  /**
   * Ask turn `turn` in other words: the question replaces that turn and those that follow, in one commit, and a branch keeps them.
   * It costs the same however many they are. If the answer fails before its first word, that branch is the current one again.
   * @throws SessionError as `consult`, `range_invalid`, `branches_exceeded`
   */
  async edit(
    turn: number,
    question: MessageInput,
    options: Omit<ConsultOptions, "after" | "keep"> = {},
  ): Promise<Answer> {
    guardObject(options, "options");
    return await this.consult(question, { ...options, after: this.#before(turn, "turn"), keep: true });
  }

  /**
   * Ask the question of turn `turn` again, by default that of the last turn. A branch keeps the earlier answer, and the turns that
   * follow it.
   * @throws SessionError as `edit`
   */
  async regenerate(options: RegenerateOptions = {}): Promise<Answer> {
    guardObject(options, "options");
    const { turn = this.#handle.seenTurn, ...others } = options;
    const after = this.#before(turn, "turn");
    const [earlier] = await Array.fromAsync(this.turns({ from: turn, to: turn }));
    if (earlier === undefined)
      throw new SessionError("range_invalid", { name: "turn", from: turn, to: this.#handle.seenTurn });
    return await this.consult(earlier.input, { ...others, after, keep: true });
  }

  /** The number before that of a turn. @throws SessionError `range_invalid` */
  #before(turn: number, name: string): number {
    const last = this.#handle.seenTurn;
    guardNumber(turn, name);
    if (Number.isSafeInteger(turn) && turn >= 1 && turn <= last) return turn - 1;
    throw new SessionError("range_invalid", { name, from: turn, to: last });
  }

  /**
   * List the branches, in the order in which they began; with `at` one for each version of that turn. A session without edits has
   * one branch.
   * @throws SessionError `range_invalid`, `argument_invalid`
   */
  async branches(query: BranchQuery = {}): Promise<readonly Branch[]> {
    return await traceCall(this.#handle.about("branches"), async () => {
      const { branchesOn } = await import("../branches/branches.ts");
      return await branchesOn(this.#handle, query);
    });
  }

  /**
   * Make a branch the current one: reads and windows have its turns, and writes continue it. Its turns count as seen. One small
   * commit, however long the branches are.
   * @throws SessionError `branch_not_found`, `busy`, `fenced`, `turn_open`, `turn_waiting`, or that of the session's state
   */
  async switchTo(branch: string): Promise<SessionInfo> {
    this.#handle.core.guardStore();
    await this.#handle.operate("switchTo", async () => {
      const { switchOn } = await import("../branches/branches.ts");
      await switchOn(this.#handle, branch);
    });
    return this.info;
  }

  /**
   * Compare two branches: the number of turns that both have, and the turns of each that follow.
   * @throws SessionError `branch_not_found`
   */
  async compare(a: string, b: string): Promise<BranchComparison> {
    return await traceCall(this.#handle.about("compare"), async () => {
      const { compareOn } = await import("../branches/branches.ts");
      return await compareOn(this.#handle, a, b);
    });
  }

  /**
   * Delete a branch that is not the current one, with the turns that only it has. Their usage stays counted.
   * @throws SessionError `branch_not_found`, `argument_invalid`, `busy`, `fenced`, `turn_open`, `legal_hold`
   */
  async removeBranch(branch: string): Promise<void> {
    this.#handle.core.guardStore();
    await this.#handle.operate("removeBranch", async () => {
      const { removeBranchOn } = await import("../branches/branches.ts");
      await removeBranchOn(this.#handle, branch);
    });
  }

  /**
   * The answer that runs now, in whichever process, from its beginning; undefined if none runs.
   * @throws SessionError `session_not_found`; the answer throws later errors
   */
  async running(): Promise<Answer | undefined> {
    const { followedSession, runningAnswer } = await import("../turns/running-answer.ts");
    return await runningAnswer(followedSession(this.#handle));
  }

  /**
   * Stop the running answer, in any process; false if none runs. The turn is sealed with the output received so far: the call
   * waits for that for up to 3 s, and is true also if the writer of the turn needs longer. With a key only the question of
   * this key: while it waits for the session it is withdrawn, and rejects with `aborted`.
   * @throws SessionError `id_invalid`
   */
  async cancel(options: WriteKey = {}): Promise<boolean> {
    return await cancelOn(this.#handle, options);
  }

  /**
   * The turns, oldest first: the last so many, or from one number to another, bounds included. A turn that cannot be
   * read is left out, and `onUnreadable` of the range names it. With `branch`, those of a branch that is not the current one.
   * @throws SessionError `range_invalid`, `argument_invalid`, `branch_not_found`
   */
  turns(range: TurnRange = {}): AsyncIterable<Turn> {
    return readTurns(this.#handle, range);
  }

  /**
   * Load the messages of turns in the form of a framework or provider. A message that this format wrote comes back as it was
   * written, unless it has changed since; all others are converted. A turn that cannot be read is left out, and
   * `onUnreadable` of the range names it.
   * @throws SessionError as `turns`, `argument_invalid` for an unknown format
   */
  async messages(query: MessagesQuery = {}): Promise<readonly Value[]> {
    return await readMessagesAs(this.#handle, query);
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
   * Delete the turns after number `after`; 0 deletes all. Their usage stays counted. Other branches that share one of these turns
   * are deleted too.
   * @throws SessionError `range_invalid`, `conflict`, `busy`, `fenced`, `turn_open`, `legal_hold`
   */
  async truncate(after: number): Promise<void> {
    this.#handle.core.guardStore();
    await this.#handle.operate("truncate", async () => {
      const { truncateOn } = await import("../operations/truncate.ts");
      await truncateOn(this.#handle, after);
    });
  }

  /**
   * Summarize the turns up to one of them: from then on a model is shown the summary in their place. The turns stay. Only the turns
   * since the last summary are read. Null where the conversation is too short. Where another process stores the same summary first,
   * the call returns that one; both are counted. An agent with a `compaction` summarizes by itself.
   * @throws SessionError `range_invalid`, `summary_empty` where models are shown none of these turns, `model_missing`,
   *   `budget_exceeded`, `daily_budget_exceeded`, `session_archived`, `turn_open` while the open turn replaces others, `conflict` where the turns changed meanwhile, and the summarizer's error
   */
  async summarize(options: SummarizeOptions = {}): Promise<Summary | null> {
    this.#handle.core.guardStore();
    return await traceCall(this.#handle.about("summarize"), async () => {
      const { summarizeOn } = await import("../operations/memory.ts");
      return await summarizeOn(this.#handle, options);
    });
  }

  /** The summaries of the current branch, those that cover most first. Models are shown the first one. */
  async *summaries(): AsyncIterable<Summary> {
    const { summariesOn } = await import("../operations/memory.ts");
    yield* summariesOn(this.#handle);
  }

  /** The turns of the current branch that are pinned, and those that are left out. */
  async memory(): Promise<SessionMemory> {
    return await traceCall(this.#handle.about("memory"), async () => {
      const { memoryOn } = await import("../operations/memory.ts");
      return await memoryOn(this.#handle);
    });
  }

  /**
   * Pin a turn: models are shown it behind the summary, however old it is, in at most half of their window. At most 20 turns. False
   * if it is pinned already. A pinned turn is not left out.
   * @throws SessionError `range_invalid`, `write_too_large`, `session_archived`
   */
  async pin(turn: number): Promise<boolean> {
    return await this.#mark("pin", turn, { mark: "pinned", isSet: true });
  }

  /** End the pin of a turn; false if it is not pinned. @throws SessionError as `pin` */
  async unpin(turn: number): Promise<boolean> {
    return await this.#mark("unpin", turn, { mark: "pinned", isSet: false });
  }

  /**
   * Show no model this turn any more; users still see it. Summaries of it are deleted, and later ones leave it out. At most 200 turns.
   * False if it is left out already.
   * @throws SessionError as `pin`
   */
  async leaveOut(turn: number): Promise<boolean> {
    return await this.#mark("leaveOut", turn, { mark: "leftOut", isSet: true });
  }

  /** Show models a turn again that was left out; false if it was not. @throws SessionError as `pin` */
  async takeIn(turn: number): Promise<boolean> {
    return await this.#mark("takeIn", turn, { mark: "leftOut", isSet: false });
  }

  async #mark(
    operation: "pin" | "unpin" | "leaveOut" | "takeIn",
    turn: number,
    mark: Omit<Parameters<typeof markOn>[1], "turn">,
  ): Promise<boolean> {
    this.#handle.core.guardStore();
    return await this.#handle.operate(operation, async () => {
      const { markOn } = await import("../operations/memory.ts");
      return await markOn(this.#handle, { turn, ...mark });
    });
  }

  /**
   * Rate a turn. A later rating by the same rater replaces the earlier one; `rating: null` removes it. At most 1000 ratings. Also an
   * ended session takes ratings.
   * @throws SessionError `range_invalid`, `argument_invalid`, `id_invalid`, `write_too_large`, `session_archived`; `legal_hold` for a
   * rating that would be removed or replaced
   */
  async rate(turn: number, rating: NewRating): Promise<void> {
    this.#handle.core.guardStore();
    await this.#handle.operate("rate", async () => {
      const { rateOn } = await import("../operations/memory.ts");
      await rateOn(this.#handle, turn, rating);
    });
  }

  /** The ratings of the turns of the current branch, in the order of the turns. @throws SessionError `argument_invalid` */
  async ratings(query: RatingQuery = {}): Promise<readonly Rating[]> {
    return await traceCall(this.#handle.about("ratings"), async () => {
      const { ratingsOn } = await import("../operations/memory.ts");
      return await ratingsOn(this.#handle, query);
    });
  }

  /**
   * Change title, labels, metadata, deadlines, user, agent, instructions or budget.
   * @throws SessionError `metadata_too_large`, `agent_unknown`, `session_expired` …
   */
  async update(patch: SessionPatch): Promise<void> {
    this.#handle.core.guardStore();
    await traceCall(this.#handle.about("update"), () => updateOn(this.#handle, patch));
  }

  /**
   * Make an agent the active one, for a time: it answers in every process. A handoff to the active agent prolongs its
   * time.
   * @throws SessionError `agent_unknown`, `duration_invalid`, `argument_invalid` for a note that is too long,
   *    `session_expired` …
   */
  async handOff(agent: string, options: HandOffOptions = {}): Promise<ActiveAgent> {
    return await traceCall(this.#handle.about("handOff"), async () =>
      activeAgent(await handOffOn(this.#handle, agent, options)),
    );
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
    return await this.#handle.operate("endHandoff", () => endHandoffOn(this.#handle));
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

  /**
   * Record an event of the application in the log of events: it is listed, filtered, followed and exported like those of the
   * session. It moves no deadline, needs no lease and is taken in every state but `archived`.
   * @throws SessionError `argument_invalid` for a type outside `app.` and data over `limits.eventBytesMax`,
   *   `value_unstorable`, `session_archived`, `store_unavailable` in the fallback, which replays no events
   */
  async record(event: AppEvent): Promise<RecordedEvent> {
    this.#handle.core.guardStore();
    return await this.#handle.operate("record", () => recordOn(this.#handle, event));
  }

  /** Record activity: moves the sliding deadline. @throws SessionError `session_expired` … */
  async touch(): Promise<void> {
    const handle = this.#handle;
    await traceCall(handle.about("touch"), () =>
      handle.inFold((queued) => handle.fold(({ record }, context) => touchSession(record, context), {}, queued)),
    );
  }

  /**
   * Take the lease for this object, until it is released or its process ends. `wait`: queue for it; then `refresh` to
   * load what was written meanwhile.
   * @param options `ttl`: the lease ends by itself after this time
   * @throws SessionError `busy`, `queue_full`
   */
  async lease(options: { ttl?: Duration; wait?: Duration } = {}): Promise<SessionLease> {
    return await traceCall(this.#handle.about("lease"), () => leaseOn(this.#handle, options));
  }

  /**
   * Run `work` as the only writer, with a `Session` that has seen all turns.
   * @throws SessionError `busy`, `queue_full`, and the errors of `work`
   */
  async exclusive<T>(
    work: (session: Session) => Promise<T>,
    options: { busy?: BusyPolicy; wait?: Duration } = {},
  ): Promise<T> {
    return await traceCall(this.#handle.about("exclusive"), () => {
      parseFunction(work, "work");
      return exclusiveOn(this.#handle, (handle) => work(new Session(handle)), options);
    });
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

  /**
   * Write turns, entries of named logs and fields of the session in one commit, or nothing. Without `onto` the write is applied to
   * whatever is stored, and no change of another writer refuses it.
   * @throws SessionError `conflict` for a change of a log since `onto`, `busy`, `fenced`, `turn_open`, `range_invalid`,
   *    `argument_invalid`, `id_invalid`, `log_reserved`, `write_too_large`, `turn_too_large`, `message_invalid`,
   *    `value_unstorable`, `metadata_too_large`, `budget_exceeded`, `daily_budget_exceeded`, `legal_hold`, `key_archived`,
   *    `session_expired`, `session_ended`, `session_archived`
   */
  write(write: SessionWrite): Promise<WriteOutcome> {
    const handle = this.#handle;
    return areTraced() ? traceStep(handle.about("write"), () => writeOn(handle, write)) : writeOn(handle, write);
  }

  /**
   * Read the session and the last entries of some logs, `turns` included, from one moment, in one round trip. Pass the result as
   * `onto` of a write that is decided on it. The turns do not count as seen.
   * @throws SessionError `session_not_found`, `argument_invalid`, `id_invalid`, `log_reserved`, `store_invalid`
   */
  async look(tails: readonly TailQuery[] = []): Promise<SessionLook> {
    return await traceCall(this.#handle.about("look"), () => lookOn(this.#handle, tails));
  }

  /** A named log of the session, to read. @throws SessionError `id_invalid`, `log_reserved` */
  log(name: string): SessionLog {
    return new SessionLog(this.#handle, parseNamedLog(name));
  }

  /**
   * Load the turn that waits to be resumed; null if none does. Its token and its state are secrets of the application.
   * @throws SessionError `session_not_found`
   */
  async waiting(): Promise<WaitingTurn | null> {
    return await traceCall(this.#handle.about("waiting"), async () => {
      const { waitingOn } = await import("../operations/waiting.ts");
      return await waitingOn(this.#handle);
    });
  }

  /**
   * Resume the turn that waits under this token, as its only writer: the same turn, with the output so far. Of several callers
   * in any processes exactly one resumes it. The turns in the store count as seen.
   * @throws SessionError `turn_not_waiting` if it was resumed, sealed or interrupted, or for a token of another session or turn;
   *   `interrupted` if its time is up, `busy`, that of the session's state
   */
  async resume(token: string): Promise<TurnInProgress> {
    return await this.#handle.operate("resume", async () => {
      const { resumeOn } = await import("../operations/waiting.ts");
      return await resumeOn(this.#handle, token);
    });
  }

  /**
   * Seal the turn that waits under this token, in one commit: it is finished, with the output so far unless the seal names
   * another. Usage and requests are added to those so far. Of several callers that resume or seal it exactly one succeeds.
   * @throws SessionError as `resume`, `argument_invalid`, `message_invalid`, `turn_too_large`, `turn_parts_exceeded`; and the
   *   turn still waits
   */
  async sealWaiting(token: string, seal: Seal = {}): Promise<Turn> {
    return await this.#handle.operate("sealWaiting", async () => {
      const { sealWaitingOn } = await import("../operations/waiting.ts");
      return await sealWaitingOn(this.#handle, token, seal);
    });
  }

  /**
   * Decide on the tool calls that the waiting turn asks for, by their ids: `true` runs the tool, `{ refused }` tells the model
   * why not. The answer continues and streams, as that of `consult`, in the same turn; it may ask again. `model` is one that runs
   * the tools, as `withTools` makes it. Each call that needs approval must be decided.
   * @throws SessionError as `resume`, `argument_invalid`, `model_missing`; `budget_exceeded` and `daily_budget_exceeded`, and the
   *   turn still waits; the answer throws later errors
   */
  async approve(token: string, decisions: Decisions, options: ApproveOptions = {}): Promise<Answer> {
    return await traceCall(this.#handle.about("approve"), async () => {
      const { approveOn } = await import("../operations/approve.ts");
      return await approveOn(this.#handle, token, decisions, options);
    });
  }

  /** Load the holder of the lease, and check whether it is alive; null: no lease. */
  async leaseHolder(): Promise<LeaseHolder | null> {
    return await traceCall(this.#handle.about("leaseHolder"), () => leaseHolderOf(this.#handle));
  }

  /**
   * Recover from a dead writer: clear its lease and seal the turn that it left open. False if the writer is alive, or
   * left nothing.
   */
  async recover(): Promise<boolean> {
    return await this.#handle.operate("recover", async () => {
      const { recoverPolled } = await import("../turns/running-answer.ts");
      return await recoverPolled(this.#handle);
    });
  }

  /**
   * Break the lease of any holder: its next write fails with `fenced`, and its open turn is sealed. False if there is
   * no lease.
   */
  async breakLease(): Promise<boolean> {
    return await this.#handle.operate("breakLease", () => breakLeaseOn(this.#handle));
  }

  /**
   * End the session. It can still be read, and its events have the reason. With `after: "answer"`, which a tool may call,
   * the session ends in the commit that stores the answer in progress in this process; without such an answer it ends at
   * once. An answer that fails or is stopped does not end it.
   * @throws SessionError `busy` while another writer has the lease, `turn_open`, `argument_invalid` for a reason that
   *    is too long
   */
  async end(options: EndOptions = {}): Promise<void> {
    this.#handle.core.guardStore();
    await endOn(this.#handle, options);
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
    await setLegalHoldOn(this.#handle, reason);
  }

  /** End the legal hold; false if there is none. */
  async clearLegalHold(): Promise<boolean> {
    this.#handle.core.guardStore();
    return await this.#handle.operate("clearLegalHold", () => clearLegalHoldOn(this.#handle));
  }

  /** Remove the session with all its data. @throws SessionError `legal_hold` */
  async remove(): Promise<void> {
    await removeOn(this.#handle);
  }
}
