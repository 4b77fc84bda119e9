import { isShared } from "../../domain/branches/branching.ts";
import { inheritedIn } from "../../domain/branches/segments.ts";
import { headOf, turnsIdentity, type Change, type Draft } from "../../domain/record/change.ts";
import type { Entry } from "../../domain/record/entry.ts";
import { parseId } from "../../domain/values/ids.ts";
import type { Chunk } from "../../domain/turns/chunk.ts";
import { TruncatedSums, type TruncatedTurns } from "../../domain/turns/truncated-usage.ts";
import { turnOf, type Turn } from "../../domain/turns/turn.ts";
import { mayHaveRunTools } from "../../domain/turns/message-steps.ts";
import {
  beginAgain,
  beginInstead,
  beginTurn,
  type Beginning,
  type OpenTurn,
  type Replacement,
} from "../../domain/turns/turns.ts";
import { guardReplaced } from "../../domain/turns/replaced-turns.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { guardSeen, sessionIds, turnOpen, type Context, type Writer } from "../../domain/record/guards.ts";
import type { Handle } from "../handle/handle.ts";
import { keptTurns, treeFor } from "../handle/kept-turns.ts";
import { markShared } from "../marks/shared-marks.ts";
import { readLog } from "../core/log-reader.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { withoutForks } from "../handle/detach-forks.ts";
import type { Rule, WriteOptions, WriteResult } from "../core/writable-session.ts";
import { putStaying, stayingUpTo, type StayingMarks } from "../turn-marks/turn-changes.ts";
import { readTruncated } from "./entry-reader.ts";
import { guardSameContent, writeOnce } from "./keyed-write.ts";
import { lastTurn } from "./last-turn.ts";
import { dailyGuard } from "../budgets/daily-guard.ts";
import type { Flush } from "../../domain/writes/flush.ts";
import { TurnInProgress } from "./progress/turn-in-progress.ts";

export type BeginResult =
  | { readonly status: "begun"; readonly inProgress: TurnInProgress }
  /** An earlier try with the same key began this turn, and it has ended. */
  | { readonly status: "repeated"; readonly turn: Turn }
  /** An earlier try with the same key began this turn, and its answer runs. */
  | { readonly status: "running"; readonly turn: Turn };

/** How a turn is begun. */
export interface BeginOptions extends WriteOptions {
  readonly ticket: string | null;
  /** The caller named the agent; a repetition must name the same one. */
  readonly named: boolean;
  /**
   * Chooses the agent on the record that is written; may start a handoff in the draft.
   * @default the turn's agent
   */
  readonly choose?: (draft: Draft, context: Context) => Pick<OpenTurn, "agent" | "model">;
  /** The turns after this one are replaced by the new turn. @default none */
  readonly after?: number | undefined;
  /** A branch keeps the replaced turns. @default false */
  readonly keep?: boolean | undefined;
  /** When the chunks of the answer are written. @default that of `parseFlush` */
  readonly flush?: Required<Flush> | undefined;
}

/**
 * Begin a turn under the fence of this handle; a handle without one takes a lease in the same commit.
 * @throws SessionError `busy`, `turn_open`
 */
export async function beginOn(handle: Handle, turn: OpenTurn, options: BeginOptions): Promise<BeginResult> {
  return await handle.core.take(() => beginTurnOn(handle, turn, options));
}

async function beginTurnOn(
  handle: Handle,
  turn: OpenTurn,
  { ticket, named, choose, after, keep = false, flush, ...options }: BeginOptions,
): Promise<BeginResult> {
  const { core } = handle;
  if (turn.key !== null) parseId(turn.key, "key");
  const guardDaily = await dailyGuard(core, handle.record);
  const brings = handle.fence === null;
  if (brings) await core.instance.ensureAlive();
  const ahead = options.recovers === "any";
  const lease = brings ? { instance: core.instance.id, ttlMs: null, ticket, ahead } : null;
  const beginning = (draft: Draft, context: Context, writer: Writer): Beginning => {
    // Within the rule: a retry of a turn that reached the budget finds that turn.
    guardDaily?.();
    return { turn: { ...turn, ...choose?.(draft, context) }, writer, lease };
  };
  const rule: Rule = (draft, context, writer) => beginTurn(draft, beginning(draft, context, writer), context);
  const write = async (): Promise<WriteResult> =>
    after === undefined
      ? await writeOnce(handle, turn.key, () => handle.write(rule, options))
      : await writeInstead(handle, { after, keep, key: turn.key }, beginning, options);
  // A retry supersedes neither the writer of its own answer nor its own turn that waits.
  const first =
    (ahead || options.interruptsWaiting !== undefined) && turn.key !== null
      ? await handle.entryByKey(turn.key)
      : undefined;
  let written: WriteResult = first === undefined ? await write() : { status: "duplicate", entry: first };
  let earlier: Turn | undefined;
  while (written.status === "duplicate" && earlier === undefined) {
    earlier = await repeated(handle, { turn, named, after }, written.entry);
    if (earlier === undefined) written = await write();
  }
  if (earlier?.status === "open") return { status: "running", turn: earlier };
  if (earlier !== undefined) {
    const again = isUnanswered(earlier)
      ? await writeAgain(
          handle,
          earlier,
          (truncated, marks) => (draft, context, writer) =>
            putStaying(draft, marks, context)
              ? beginAgain(draft, { ...beginning(draft, context, writer), truncated }, context)
              : null,
          options,
        )
      : undefined;
    if (again === undefined) return { status: "repeated", turn: earlier };
    written = again;
  }
  if (written.status === "duplicate") throw new Error("a turn that begins again claims no key");
  if (written.status === "unchanged") throw new Error("a begin changes something");
  return { status: "begun", inProgress: answering(handle, written.change, { brings, flush }) };
}

/** The turn that a change has just begun or resumed; `brings`: the change took its lease; `written`: the output before it. */
export function answering(
  handle: Handle,
  change: Change,
  {
    brings,
    flush,
    written = [],
  }: {
    readonly brings: boolean;
    readonly flush: Required<Flush> | undefined;
    readonly written?: readonly Chunk[];
  },
): TurnInProgress {
  const { core } = handle;
  const { fence } = handle.record;
  if (brings) handle.takeLease();
  const ended = (settled: boolean): void => {
    if (!brings) return;
    if (settled) core.instance.disuse(handle.key, fence);
    else handle.abandon(fence);
    handle.dropLease();
  };
  return new TurnInProgress(handle, turnOf(lastTurn(change)), { releases: brings, ended, flush, written });
}

/** Builds the beginning of the turn on the record that is written. */
type BeginningOn = (draft: Draft, context: Context, writer: Writer) => Beginning;

/**
 * Begin the turn in the place of the turns after `after`, in one commit. A turn that a dead writer left open is sealed
 * first, in a commit of its own; under the policy `take-over` also that of a live one.
 * @throws SessionError `range_invalid`, `replaced_too_large`, `conflict`, and as `beginOn`
 */
async function writeInstead(
  handle: Handle,
  { after, keep, key }: { readonly after: number; readonly keep: boolean; readonly key: string | null },
  beginning: BeginningOn,
  options: WriteOptions,
): Promise<WriteResult> {
  const earlier = key === null ? undefined : await handle.entryByKey(key);
  if (earlier !== undefined) return { status: "duplicate", entry: earlier };
  if (options.recovers !== undefined) await handle.recoverAbandoned(options);
  const { record } = await handle.peek();
  if (record.openTurn !== null) throw turnOpen(record, record.openTurn);
  const head = headOf(record, "turns");
  if (after > head) throw new SessionError("range_invalid", { name: "after", from: after, to: head });
  const replacement = after === head ? undefined : await readReplaced(handle, record, { after, keep });
  // The turns that a fork shares become its own if they are put back, so the parent no longer leads to their speakers.
  if (replacement !== undefined && record.parent !== null && after < record.parent.at)
    await markShared(handle.core, record);
  const rule: Rule = (draft, context, writer) => {
    // The turns that were read are those of the record: it has the same last change of the turns.
    guardSeen(draft.record, { ...writer, seen: turnsIdentity(record), seenTurn: head });
    const begun = beginning(draft, context, writer);
    return replacement === undefined
      ? beginTurn(draft, begun, context)
      : beginInstead(draft, { ...begun, replacement }, context);
  };
  return await withoutForks(handle, () => writeOnce(handle, key, () => handle.write(rule, options)));
}

/** The turns after `after`, as far as their replacement needs them. @throws SessionError `replaced_too_large` */
async function readReplaced(
  handle: Handle,
  record: SessionRecord,
  { after, keep }: { readonly after: number; readonly keep: boolean },
): Promise<Replacement> {
  const { core } = handle;
  if (keep || isShared(record, after)) return { after, entries: [], truncated: await keptTurns(core, record, after) };
  const { limits } = core.options;
  const sums = new TruncatedSums();
  const entries: Entry[] = [];
  const to = headOf(record, "turns");
  for (let from = after + 1; from <= to; from = (entries.at(-1)?.seq ?? to) + 1) {
    const { readMax: limit, readBytesMax: bytesMax } = limits;
    const page = await readLog(handle.core, record, { log: "turns", from, to, order: "ascending", limit, bytesMax });
    if (page.length === 0) break;
    for (const entry of page) sums.add(turnOf(entry), inheritedIn(record, "turns"));
    entries.push(...page);
    guardReplaced(record, after, entries, limits);
  }
  return { after, entries, truncated: { ...sums.result, ...(await treeFor(core, record)) } };
}

/**
 * The turn that an earlier try with the same key began, open while its writer lives; undefined where its writer has ended and
 * it gave its place back to the turns that it replaced.
 * @throws SessionError `key_reused`
 */
async function repeated(
  handle: Handle,
  { turn, named, after }: { readonly turn: OpenTurn; readonly named: boolean; readonly after: number | undefined },
  entry: Entry,
): Promise<Turn | undefined> {
  let earlier = turnOf(entry);
  if (after !== undefined && earlier.seq !== after + 1) {
    throw new SessionError("key_reused", { ...sessionIds(handle.record), key: earlier.key ?? "", seq: earlier.seq });
  }
  guardSameContent(handle, earlier, { ...earlier, agent: named ? turn.agent : earlier.agent, input: turn.input });
  if (earlier.status === "open") {
    await handle.recoverAbandoned();
    const found = await handle.entryByKey(entry.key ?? "");
    if (found === undefined) return undefined;
    earlier = turnOf(found);
  }
  return earlier;
}

/**
 * True for a turn that ended without an answer to give: a retry with its key asks again. Where tools ran, or may have, they
 * may have had effects, and the retry gets the failure.
 */
function isUnanswered({ status, output }: Turn): boolean {
  return (status === "failed" || status === "interrupted") && !mayHaveRunTools(output);
}

/** How often another writer may come first before a retry gets the failure of its first try. */
const againMax = 20;

/**
 * Begin the earlier turn again in its place; undefined where that cannot be: other turns follow it, another retry was
 * first, or a legal hold keeps it.
 */
async function writeAgain(
  handle: Handle,
  earlier: Turn,
  ruleFor: (truncated: TruncatedTurns, marks: StayingMarks) => Rule,
  options: WriteOptions,
): Promise<WriteResult | undefined> {
  for (let attempt = 1; attempt <= againMax; attempt++) {
    // One moment: the turn is the last one of the record that the rule is applied to, or the rule is refused as stale.
    const [turns = []] = (await handle.refresh([{ log: "turns", last: 1 }])).tails;
    const last = turns.at(-1) === undefined ? undefined : turnOf(turns.at(-1)!);
    if (last?.key !== earlier.key || last.seq !== earlier.seq || !isUnanswered(last)) return undefined;
    const truncated = await readTruncated(handle, { from: last.seq, to: last.seq });
    const marks = await stayingUpTo(handle.core, handle.record, last.seq - 1);
    try {
      const written = await withoutForks(handle, () => handle.write(ruleFor(truncated, marks), options));
      if (written.status !== "unchanged") return written;
    } catch (error) {
      if (hasCode(error, "legal_hold")) return undefined;
      if (!hasCode(error, "conflict")) throw error;
    }
  }
  return undefined;
}
