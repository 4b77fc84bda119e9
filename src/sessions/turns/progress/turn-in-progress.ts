import { keptChunk, parseChunk, type Chunk } from "../../../domain/turns/chunk.ts";
import { draftOf, type Change, type Draft } from "../../../domain/record/change.ts";
import { keyText, type SessionKey } from "../../../domain/record/entry.ts";
import type { SessionRecord, Waiting } from "../../../domain/record/record.ts";
import { waitTurn, type Wait } from "../../../domain/writes/waiting.ts";
import { sortableId } from "../../../domain/values/ids.ts";
import { guardNames } from "../../../domain/values/option-names.ts";
import { closeToolCalls, type Message, type Resume, type ToolCall, type Turn } from "../../../domain/turns/turn.ts";
import { isWordless } from "../../../domain/turns/leases.ts";
import {
  addChunks,
  guardToolCalls,
  sealTurn,
  type NewChunks,
  type SealedTurn,
  type Sealing,
} from "../../../domain/turns/turns.ts";
import { countToolCalls } from "../../../domain/turns/message-steps.ts";
import { estimateUsage } from "../../../domain/turns/usage.ts";
import { fenced, sessionIds, type Context } from "../../../domain/record/guards.ts";
import { guardTokensLeft } from "../../../domain/record/budget.ts";
import { defined } from "../../../domain/values/defined.ts";
import { hasCode, SessionError, type ErrorCode } from "../../../errors.ts";
import type { Interruption } from "../../../errors/answer-problems.ts";
import { guardDailyTokens } from "../../budgets/daily-guard.ts";
import { storedErrorOf } from "./turn-error.ts";
import { retryOnConflict } from "../../core/retry-on-conflict.ts";
import { readReplaced } from "../../handle/abandoned-turn.ts";
import type { Handle } from "../../handle/handle.ts";
import { putStaying } from "../../turn-marks/turn-changes.ts";
import { parseFlush, type Flush } from "../../../domain/writes/flush.ts";
import { isStreamScope } from "../../../domain/values/internal-scope.ts";
import { traceCall } from "../../tracing/operation.ts";
import type { Found, SessionWatch } from "../../polling/change-poller.ts";
import { ChunkWriter } from "./chunk-writer.ts";
import { guardSeal, sealedUsage, type Seal, type SealTogether, type SealUsage } from "./seal.ts";
import {
  parseWait,
  waitNames,
  waitingTurn,
  type ParsedWait,
  type WaitingCalls,
  type WaitingTurn,
  type WaitOptions,
} from "./waiting-turn.ts";

/**
 * Delay before a failed seal is retried, until it succeeds or the turn is lost. A turn whose write failed is sealed after
 * the same time if its writer does not seal it.
 */
const retryMs = 2000;
/** The lease was superseded, the turn was sealed by another writer, or the session was removed: this writer has lost the turn. */
const lostCodes: ReadonlySet<string> = new Set(["fenced", "turn_not_open", "session_not_found"] satisfies ErrorCode[]);
/** Codes of a failed seal that end the turn here: it is lost, or was sealed smaller. */
const settlingCodes: ReadonlySet<string> = new Set([...lostCodes, "turn_too_large", "turn_parts_exceeded"]);

/**
 * A turn between its question and its answer. The question is durable. Chunks are appended to a log, and `seal` replaces
 * question and chunks by the finished turn. If it is disposed without a seal, it is sealed as interrupted.
 *
 * States: *open*, until `seal` begins or the turn is lost; *sealing*, while `seal` writes; *owed*, while a seal waits for
 * its next try; *ended*, once it is sealed or lost. An ended turn has no timer, no lease use and no place in `core.turns`.
 */
export class TurnInProgress implements AsyncDisposable {
  /** The turn as it began. */
  readonly open: Turn;
  /** Returns the usage so far, for a seal without its writer. @default an estimate */
  usageSoFar: (() => Pick<Seal, "usage" | "requests" | "agent" | "model" | "steps">) | undefined;
  /** The tool calls of which their writer knows that their tools have not begun to run. */
  waiting: readonly ToolCall[] = [];
  /** The chunks that were written before it was resumed. @internal */
  readonly restored: readonly Chunk[];
  readonly #handle: Handle;
  readonly #fence: number;
  readonly #releases: boolean;
  readonly #ended: (settled: boolean) => void;
  readonly #stop = new AbortController();
  readonly #chunks: ChunkWriter;
  /** The messages that were written before the turn was resumed. */
  readonly #before: number;
  #toolCalls: number;
  /** Notifies a writer that writes nothing, within a second, that it was cancelled or superseded. */
  readonly #watch: SessionWatch;
  #retryTimer: NodeJS.Timeout | undefined;
  #sealing: Promise<Turn> | undefined;
  /** The seal that is retried. */
  #owed: Seal | undefined;
  /** Why the session ends with the seal of a finished answer; undefined: it does not. */
  #endReason: string | undefined;
  #isEnded = false;
  #isLost = false;

  /** Made by `begin`. `releases`: sealing releases the lease; `ended` is called at the end with whether the store has it. @internal */
  constructor(
    handle: Handle,
    open: Turn,
    {
      releases,
      ended,
      flush = parseFlush(),
      written = [],
    }: {
      releases: boolean;
      ended: (settled: boolean) => void;
      flush?: Required<Flush> | undefined;
      written?: readonly Chunk[];
    },
  ) {
    if (handle.fence === null) throw new Error("a turn in progress needs a lease");
    this.#handle = handle;
    this.#fence = handle.fence;
    this.open = open;
    this.restored = written;
    this.#chunks = new ChunkWriter({ flush, written, append: (chunks) => this.#append(chunks) });
    this.#before = this.output.length;
    this.#toolCalls = countToolCalls(open.input) + countToolCalls(this.output);
    this.#releases = releases;
    this.#ended = ended;
    handle.core.turns.add(this);
    const { poller } = handle.core;
    this.#watch = poller.watch(handle.key, { needs: "record", isQuiet: true }, (found) => this.#onFound(found));
  }

  /** The turn's number. */
  get seq(): number {
    return this.open.seq;
  }

  /** True for the turn of the session's lease with this fence. */
  isUnder(lease: { readonly key: SessionKey; readonly fence: number }): boolean {
    return this.#fence === lease.fence && keyText(this.#handle.key) === keyText(lease.key);
  }

  /** True for a turn of this session. */
  isOf(key: SessionKey): boolean {
    return keyText(this.#handle.key) === keyText(key);
  }

  /** End the session in the commit that seals the answer, if it finishes. False once that commit has begun. */
  endsSession(reason: string): boolean {
    if (this.#isEnded || this.#sealing !== undefined) return false;
    this.#endReason = reason;
    return true;
  }

  /** A stream has its chunks after its end too, and ends with the last one. */
  get #keepsChunks(): boolean {
    return isStreamScope(this.#handle.key.tenant);
  }

  /** True once this writer can seal nothing: the lease was superseded, or the session was removed. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Aborts when the turn is cancelled or its writer superseded; the reason is a `SessionError`. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** The messages written so far. */
  get output(): readonly Message[] {
    return this.#chunks.output;
  }

  /** The messages written since the turn was begun or resumed. @internal */
  get added(): readonly Message[] {
    return this.output.slice(this.#before);
  }

  /** True for a turn that has waited. @internal */
  get isResumed(): boolean {
    return this.open.waitedMs !== undefined;
  }

  /**
   * Write a chunk of the answer. Resolves at once, before the chunk is durable, unless the store lags behind. An empty
   * text is dropped. A part that does not fit is refused alone: others may follow.
   * @throws SessionError `fenced`, `turn_not_open`, `turn_too_large`, `turn_parts_exceeded`, `message_invalid`,
   *   `value_unstorable`, or the store's, of this or an earlier chunk
   */
  async write(given: Chunk): Promise<void> {
    this.signal.throwIfAborted();
    if (this.#isEnded || this.#sealing !== undefined) {
      throw new SessionError("turn_not_open", { ...sessionIds(this.#handle.record), turn: this.seq });
    }
    parseChunk(given);
    const kept = keptChunk(given);
    if ("message" in kept.chunk) this.#guardMessage(kept.chunk.message);
    if ("part" in kept.chunk) this.#guardRoom(kept.length);
    await this.#chunks.add(kept);
  }

  /**
   * Guard the next model call of the answer, which used `tokens` so far.
   * @throws SessionError `budget_exceeded`, `daily_budget_exceeded`
   */
  async guardTokensLeft(tokens: number): Promise<void> {
    const { core, record } = this.#handle;
    // The usage of the turn before it waited is counted at its end.
    const used = (this.open.usage?.totalTokens ?? 0) + tokens;
    guardTokensLeft(record, used);
    await guardDailyTokens(core, record, used);
  }

  /** Refuse a part before it is added: the parts before it are written, and others may follow. */
  #guardRoom(length: number): void {
    const { record, core } = this.#handle;
    const { turnBytesMax: bytesMax } = core.options.limits;
    const bytes = this.#chunks.bytes + length;
    if (bytes > bytesMax) throw new SessionError("turn_too_large", { ...sessionIds(record), bytes, bytesMax });
  }

  /** Refuse a message before it is added, so that the output before it can be sealed. */
  #guardMessage(message: Message): void {
    const { record, core } = this.#handle;
    const toolCalls = this.#toolCalls + countToolCalls([message]);
    guardToolCalls(record, toolCalls, core.context());
    this.#toolCalls = toolCalls;
  }

  /** Write chunks to the log. A failure stops the turn, so that the caller stops generating. */
  async #append(chunks: NewChunks): Promise<void> {
    try {
      await traceCall(this.#handle.about("write"), () =>
        this.#handle.write(({ record }, context) => addChunks(record, { ...chunks, fence: this.#fence }, context)),
      );
    } catch (error) {
      this.#fail(error);
      throw error;
    }
    this.#checkRecord();
  }

  /** If the store is unavailable, the next write throws its error. */
  #onFound(found: Found): void {
    if (this.#isEnded || this.#sealing !== undefined) return;
    if (found.status === "missing") {
      this.#fail(new SessionError("session_not_found", sessionIds(this.#handle.record)));
    } else if (found.status === "found") {
      this.#handle.learn(found.view.record);
      this.#checkRecord();
    }
  }

  /** Stop the writer. A lost turn ends here; any other is sealed after a delay if its writer does not seal it. */
  #fail(error: unknown): void {
    this.#stop.abort(error);
    if (error instanceof SessionError && lostCodes.has(error.code)) this.#lose();
    else if (this.#sealing === undefined) this.#sealLater(this.#broken(error));
  }

  #lose(): void {
    this.#isLost = true;
    this.#end(true);
    this.#handle.core.loseLease(this.#handle.key, this.#fence);
  }

  #broken(error: unknown): Seal {
    const code = error instanceof SessionError ? error.code : "interrupted";
    const message = error instanceof Error ? error.message : String(error);
    return { status: "interrupted", ...this.#usageSoFar(), error: { code, message } };
  }

  #usageSoFar(): SealUsage {
    return this.usageSoFar?.() ?? { usage: estimateUsage(this.open.input, this.added) };
  }

  #sealLater(seal: Seal, together: SealTogether = {}): void {
    if (this.#isEnded) return;
    if (!this.#handle.core.isOpen) {
      // The process closes its store: the next process that opens the session seals the turn.
      this.#end(false);
      return;
    }
    clearTimeout(this.#retryTimer);
    this.#owed = seal;
    const retry = (): void => void this.sealTogether(seal, together).catch(() => undefined);
    this.#retryTimer = setTimeout(retry, retryMs).unref();
  }

  #checkRecord(): void {
    const { record } = this.#handle;
    if (record.lease?.fence !== this.#fence) {
      this.#fail(fenced(record, this.#fence));
    } else if (record.cancel?.turn === this.seq) {
      this.#stop.abort(this.interruption("cancelled"));
    }
  }

  /** The error of an answer that was stopped. */
  interruption(how: Interruption): SessionError<"interrupted"> {
    return new SessionError("interrupted", { ...sessionIds(this.#handle.record), turn: this.seq, how });
  }

  /**
   * Let the turn wait, and give it up: in one step the output so far is stored, the turn waits with a state and a token, and a
   * lease that `begin` took is released. `session.resume`, in any process, continues it. If the call fails, the turn stays in
   * progress, unless its writer has lost it.
   * @throws SessionError `fenced`, `turn_not_open`, `interrupted` if it was asked to stop, `argument_invalid`,
   *   `duration_invalid`, `value_unstorable`, `state_too_large`, `turn_too_large`, that of the session's state, the store's
   */
  async wait(options: WaitOptions): Promise<WaitingTurn> {
    guardNames(options, "wait", waitNames);
    const { usage, requests } = options;
    return await this.waitWith(options, { notRun: [], asks: [] }, defined({ usage, requests }));
  }

  /** As `wait`, with tool calls that did not run. @internal */
  async waitWith(options: WaitOptions, { notRun, asks }: WaitingCalls, usage: SealUsage): Promise<WaitingTurn> {
    const { core, record } = this.#handle;
    core.guardStore();
    const parsed = parseWait(options);
    this.signal.throwIfAborted();
    if (this.#isEnded || this.#sealing !== undefined)
      throw new SessionError("turn_not_open", { ...sessionIds(record), turn: this.seq });
    const resume: Resume = { state: options.state, notRun, asks };
    const waits = traceCall(this.#handle.about("suspend"), () => this.#wait(resume, parsed, usage));
    // A seal meanwhile, as that of `close`, finds the turn that waits.
    this.#sealing = waits.then(({ kept }) => kept);
    this.#sealing.catch(() => undefined);
    const { kept, waiting } = await waits;
    return waitingTurn(kept, waiting, resume);
  }

  async #wait(
    resume: Resume,
    { reason, forMs }: ParsedWait,
    usage: SealUsage,
  ): Promise<{ readonly kept: Turn; readonly waiting: Waiting }> {
    const chunks = this.#chunks.take();
    const handle = this.#handle;
    const { clock } = handle.core.options;
    try {
      await this.#chunks.flushed;
      const { durationMs: _, ...usageSoFar } = this.#sealedUsage(usage, this.output);
      const since = handle.core.now();
      const token = sortableId(since, clock.random(16));
      const waiting: Waiting = { token, reason, since, expiresAt: forMs === null ? null : since + forMs };
      const turn = { ...this.open, output: this.output };
      const rest = { chunks, chunkBytes: this.#chunks.bytes };
      const wait: Wait = { turn, usageSoFar, resume, waiting, fence: this.#fence, release: this.#releases, rest };
      await handle.write(({ record }, context) => waitTurn(record, wait, context));
      this.#end(true);
      return { kept: { ...turn, ...usageSoFar, status: "waiting" }, waiting };
    } catch (error) {
      this.#sealing = undefined;
      this.#chunks.putBack(chunks);
      if (this.#isOwn(error) && lostCodes.has(error.code)) this.#lose();
      throw error;
    }
  }

  /**
   * Finish the turn: in one step it replaces the open turn, its chunks are deleted, and a lease that `begin` took is
   * released. Sealing again returns the turn that was sealed first, and sealing behind `wait` the turn that waits.
   * @throws SessionError `fenced`, `turn_not_open`, `turn_too_large`, or the store's
   */
  async seal(seal: Seal = {}): Promise<Turn> {
    return await this.sealTogether(seal, {});
  }

  /** As `seal`, in one commit with a change of another record. @internal */
  async sealTogether(seal: Seal, together: SealTogether): Promise<Turn> {
    guardSeal(seal);
    clearTimeout(this.#retryTimer);
    return await traceCall(this.#handle.about("seal"), () => (this.#sealing ??= this.#seal(seal, together)));
  }

  async #seal(seal: Seal, together: SealTogether): Promise<Turn> {
    const left = this.#chunks.take();
    const rest = this.#keepsChunks ? left : [];
    const failure = await this.#chunks.flushed.catch((error: unknown) => ({ error }));
    try {
      // A stream that lacks chunks is not done.
      const isBroken = failure !== undefined && this.#keepsChunks;
      const sealed = await (isBroken
        ? this.#commitSeal(this.#broken(failure.error), [], {})
        : this.#commitSeal(seal, rest, together));
      this.#end(true);
      if (isBroken) throw failure.error;
      return sealed;
    } catch (error) {
      if (this.#isEnded) throw error;
      if (this.#isOwn(error) && settlingCodes.has(error.code)) {
        if (lostCodes.has(error.code)) this.#lose();
        this.#end(true);
      } else if (together.commit !== undefined) {
        // The other record was refused: the turn stays in progress, and its writer may seal it again.
        this.#sealing = undefined;
        this.#chunks.putBack(rest);
      } else if (error instanceof SessionError && error.retryable) {
        // The store is unavailable. Without a retry the turn would keep its session busy while this process lives.
        this.#sealing = undefined;
        this.#chunks.putBack(rest);
        this.#sealLater(seal, together);
      } else {
        this.#end(false);
      }
      throw error;
    }
  }

  /** True for an error about the session of this turn: one about a change beside the seal has other ids. */
  #isOwn(error: unknown): error is SessionError {
    if (!(error instanceof SessionError)) return false;
    const { sessionId, tenant } = error.details;
    return keyText({ tenant: tenant ?? "", id: sessionId ?? "" }) === keyText(this.#handle.key);
  }

  async #commitSeal(seal: Seal, chunks: readonly Chunk[], together: SealTogether): Promise<Turn> {
    const { status = "done", output = this.output, steps, ...others } = seal;
    // A finished turn may end with a tool call that its caller runs; a broken one must not leave calls without results.
    const whole = status === "done" ? output : closeToolCalls(output, this.waiting);
    const sealing: Sealing = { status, output: whole, ...this.#sealedUsage(seal, whole) };
    const endReason = status === "done" ? this.#endReason : undefined;
    const rest = { chunks, chunkBytes: this.#chunks.bytes };
    const sealed = { open: this.open, sealing, fence: this.#fence, release: this.#releases, endReason, rest };
    try {
      await this.#writeSeal(sealed, together);
    } catch (error) {
      // Too large to store: seal it without its output, so that the session can continue.
      const exceeds = (hasCode(error, "turn_too_large") || hasCode(error, "turn_parts_exceeded")) && this.#isOwn(error);
      if (exceeds && (output.length > 0 || steps !== undefined)) {
        const { code, message } = error;
        const smaller = { ...others, status: "failed", output: [], error: { code, message } } as const;
        await this.#commitSeal(smaller, [], { ...defined({ beside: together.beside }) });
      }
      throw error;
    }
    return { ...this.open, ...sealing };
  }

  async #writeSeal(sealed: Omit<SealedTurn, "replaced">, { commit, beside }: SealTogether): Promise<void> {
    const handle = this.#handle;
    const { open, sealing } = sealed;
    const ruleOn = async (record: SessionRecord): Promise<(draft: Draft, context: Context) => Change | null> => {
      const { entries, marks } = await readReplaced(handle.core, record, { open, isWordless: isWordless(sealing) });
      return (draft, context) =>
        marks === undefined || putStaying(draft, marks, context)
          ? sealTurn(draft, { ...sealed, replaced: entries }, context)
          : null;
    };
    if (commit !== undefined) {
      await commit(async (attempt) => {
        if (attempt > 1) await handle.peek();
        const { record } = handle;
        const change = (await ruleOn(record))(draftOf(record), handle.core.context());
        return change === null ? [] : [change];
      });
      // The other record may have been written by an earlier call already: then nothing was written now.
      const { record } = await handle.peek();
      if (record.openTurn !== this.seq || record.lease?.fence !== this.#fence) return;
    }
    await retryOnConflict(sessionIds(handle.record), async (attempt) => {
      // Marks or ratings were changed since they were read.
      if (attempt > 1) await handle.peek();
      const { status } = await handle.write(await ruleOn(handle.record), defined({ beside }));
      return status === "ok" ? true : undefined;
    });
  }

  #sealedUsage(seal: Seal, output: readonly Message[]): ReturnType<typeof sealedUsage> {
    return sealedUsage(this.open, seal, { output, before: this.#before, now: this.#handle.core.now() });
  }

  /** Free the resources of the turn in this process. `settled`: the store knows that the lease has ended. */
  #end(settled: boolean): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearTimeout(this.#retryTimer);
    this.#watch.stop();
    this.#chunks.take();
    this.#handle.core.turns.delete(this);
    this.#ended(settled);
  }

  /** Seal the turn as interrupted, unless it is sealed. */
  async settle(): Promise<void> {
    if (this.#isEnded) return;
    if (this.#sealing !== undefined) {
      await this.#sealing.catch(() => undefined);
      return;
    }
    const { aborted, reason } = this.signal;
    const isStopped = aborted && hasCode(reason, "interrupted");
    const error = isStopped ? reason : this.interruption("closed");
    this.#stop.abort(error);
    const interrupted: Seal = { status: "interrupted", ...this.#usageSoFar(), error: storedErrorOf(error) };
    try {
      await this.seal(this.#owed ?? interrupted);
    } catch (failure) {
      if (!(failure instanceof SessionError && lostCodes.has(failure.code))) throw failure;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.settle();
  }
}
