/**
 * Makes summaries and stores them. A summary covers all turns up to one of them: it is made of the summary before it and of the turns
 * that follow that. Where two processes make the same summary, the first one is stored, and both are counted.
 */
import { tracingChannel } from "node:diagnostics_channel";
import { guardTokensLeft } from "../../domain/record/budget.ts";
import { haveSameTurns, headOf, lastOwn } from "../../domain/record/change.ts";
import { memoryLog, summaryLog } from "../../domain/record/entry.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { storeSummary, type NewSummary, type Summary } from "../../domain/memory/summary.ts";
import type { TurnMemory } from "../../domain/memory/turn-memory.ts";
import { contentIdentity, turnIdentity } from "../../domain/memory/turn-identity.ts";
import { isShown, shownTurn } from "../../domain/request/shown-turn.ts";
import { markOf } from "../../domain/writes/named-logs.ts";
import { isSealed, readTurn, type Turn } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import { traced } from "../../store/calls/traced.ts";
import type { Traced } from "../../store/calls/store-call.ts";
import { guardDailyTokens } from "../budgets/daily-guard.ts";
import type { Core } from "../core/core.ts";
import { readLog } from "../core/log-reader.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import type { Handle } from "../handle/handle.ts";
import { keepDefault, type Compaction, type Summarizer } from "../options/compaction.ts";
import { toolless, type Model } from "../options/model.ts";
import { KnownTurns, readTurnMemory } from "../turn-marks/read-marks.ts";
import { currentSummaries, newestSummary } from "./read-memory.ts";
import { unlessAborted } from "./model-text.ts";
import { askSummarizer, modelSummarizer } from "./summarizer.ts";

/** Published on the tracing channel `perdure:summary` for each summary that is made. */
export interface Summarizing extends Traced {
  readonly tenant: string;
  readonly session: string;
  readonly agent: string;
  /** The first of the turns that were read; an earlier summary covers those before it. */
  readonly from: number;
  readonly to: number;
  /** A question caused it, and not a call of `summarize`. */
  readonly isAutomatic: boolean;
  /** The summary that is stored; absent where it was not made. */
  summary?: Summary;
}

const summarizings = tracingChannel<unknown, Summarizing>("perdure:summary");

/** A summarizer reads turns of about so many tokens at once; more turns are summarized in several steps. */
const stepTokensMax = 24_000;

/** The turns to summarize, for an agent, by its summarizer. */
export interface SummaryPlan {
  readonly agent: string;
  readonly to: number;
  readonly summarizer: Summarizer;
  readonly isAutomatic: boolean;
  /** At most so many steps; then the summary covers fewer turns. */
  readonly stepsMax: number;
  readonly signal: AbortSignal;
}

/** The agent's compaction; undefined where its past turns are never summarized by themselves. */
export function compactionOf(core: Core, agent: string): Compaction | undefined {
  return core.agent(agent).compaction ?? core.options.compaction;
}

/** The last turns that an agent's summaries leave out. */
export function keptBy(core: Core, agent: string): number {
  return compactionOf(core, agent)?.keep ?? keepDefault;
}

/**
 * The summarizer of an agent. `asked`: the model of the question.
 * @throws SessionError `model_missing`
 */
export function summarizerOf(
  core: Core,
  record: SessionRecord,
  { agent, asked }: { readonly agent: string; readonly asked: Model | undefined },
): Summarizer {
  const { summarizer, model: name } = compactionOf(core, agent) ?? {};
  if (summarizer !== undefined) return summarizer;
  const model = toolless(core.options.model) ?? toolless(asked);
  if (model === undefined) throw new SessionError("model_missing", sessionIds(record));
  const { settings, model: own } = core.agent(agent);
  return modelSummarizer(model, { agent, ...defined({ model: name ?? own, settings }) });
}

/**
 * Summarize the turns up to `to`. Returns the stored summary, which may be that of another process; undefined where models are shown none
 * of the turns: a summary without a text would take the place of nothing.
 * @throws SessionError `budget_exceeded`, `turn_open`, `conflict` where the turns changed meanwhile, the summarizer's and the store's
 */
export async function summarizeTurns(handle: Handle, plan: SummaryPlan): Promise<Summary | undefined> {
  const { core } = handle;
  let stored: Summary | undefined;
  for (let step = 0; step < plan.stepsMax; step++) {
    const { record } = handle;
    // Each step calls a model.
    await guardTokens(core, record);
    const turns = new KnownTurns(core, record);
    const earlier = await newestSummary(core, record, { before: plan.to + 1, turns });
    const memory = await readTurnMemory(core, record);
    const read = await readStep(core, record, { from: (earlier?.to ?? 0) + 1, to: plan.to, memory });
    if (read === undefined || (earlier === undefined && !read.turns.some(isShown))) return stored ?? earlier;
    stored = await makeSummary(handle, { plan, earlier, record, ...read });
    if (stored.to >= plan.to) return stored;
  }
  return stored;
}

/** @throws SessionError `budget_exceeded` where the session or the day has no tokens left */
export async function guardTokens(core: Core, record: SessionRecord): Promise<void> {
  guardTokensLeft(record, 0);
  await guardDailyTokens(core, record, 0);
}

/** The turns that one step summarizes. */
interface ReadTurns {
  readonly first: number;
  readonly last: Turn;
  /** Without those that are left out. */
  readonly turns: readonly Turn[];
}

/**
 * The first turns of a range that a summarizer reads at once; undefined where the range has none. Turns that are left out count nothing,
 * so a step ends within a range only behind a turn that is shown.
 */
async function readStep(
  core: Core,
  record: SessionRecord,
  { from, to, memory }: { readonly from: number; readonly to: number; readonly memory: TurnMemory },
): Promise<ReadTurns | undefined> {
  const turns: Turn[] = [];
  let [first, last]: readonly (Turn | undefined)[] = [];
  let tokens = 0;
  for await (const turn of turnsBetween(core, record, { from, to })) {
    const isRead = !isLeftOut(memory, turn);
    tokens += isRead && isShown(turn) ? shownTurn(turn).tokens : 0;
    if (tokens > stepTokensMax && turns.some(isShown)) break;
    if (isRead) turns.push(turn);
    first ??= turn;
    last = turn;
  }
  return first === undefined || last === undefined ? undefined : { first: first.seq, last, turns };
}

/** The sealed turns of a range, oldest first, at most `limit` in memory; one that cannot be read is left out. */
export async function* turnsBetween(
  core: Core,
  record: SessionRecord,
  { from, to, limit = core.options.limits.readMax }: { readonly from: number; readonly to: number; limit?: number },
): AsyncGenerator<Turn, void, void> {
  const { readBytesMax: bytesMax } = core.options.limits;
  for (let next = from; next <= to;) {
    const page = await readLog(core, record, { log: "turns", from: next, to, order: "ascending", limit, bytesMax });
    for (const entry of page) {
      const turn = readTurn(entry);
      if (typeof turn !== "string" && isSealed(turn)) yield turn;
    }
    next = (page.at(-1)?.seq ?? to) + 1;
  }
}

/** One step of a summary: the turns to read, and the summary of those before them. */
interface SummaryStep extends ReadTurns {
  readonly plan: SummaryPlan;
  readonly earlier: Summary | undefined;
  /** The record of which the turns were read. */
  readonly record: SessionRecord;
}

function makeSummary(handle: Handle, step: SummaryStep): Promise<Summary> {
  const { tenant, id: session } = handle.record;
  const { plan, first, last } = step;
  const { agent, isAutomatic } = plan;
  const about: Summarizing = { tenant, session, agent, from: first, to: last.seq, isAutomatic };
  return traced(summarizings, about, async () => (about.summary = await makeAndStore(handle, step, about)));
}

async function makeAndStore(
  handle: Handle,
  { plan, earlier, record, last, turns }: SummaryStep,
  { from, to }: Summarizing,
): Promise<Summary> {
  const { core } = handle;
  const { tenant, id: session } = record;
  const { agent, summarizer, signal } = plan;
  const request = { tenant, session, agent, from, to, turns, signal, ...defined({ earlier: earlier?.text }) };
  const startedAt = core.now();
  // Where no model is shown any of the turns, the earlier summary says all.
  const made =
    earlier !== undefined && !turns.some(isShown)
      ? { text: earlier.text }
      : await unlessAborted(askSummarizer(summarizer, request), signal);
  const durationMs = Math.max(0, core.now() - startedAt);
  return await store(handle, { ...made, to, turn: contentIdentity(last), agent, durationMs }, record);
}

/**
 * Store what was made, and count its usage, in one commit. `read`: the record of which the turns were read.
 * @throws SessionError `conflict` where the turns changed since; the usage is counted
 */
async function store(handle: Handle, summary: NewSummary, read: SessionRecord): Promise<Summary> {
  const { core } = handle;
  const { to, turn } = summary;
  let known = read;
  return await retryOnConflict(sessionIds(read), async () => {
    const found = await storedOf(core, known, to);
    const last = await new KnownTurns(core, known).at(to);
    const isSame = last !== undefined && contentIdentity(last) === turn && haveSameMemory(known, read);
    const entries = lastOwn(known, summaryLog(to));
    const isStored = found === undefined && isSame;
    let at = 0;
    const written = await handle.write((draft, context, writer) => {
      at = context.now;
      const isRead = haveSameTurns(draft.record, known) && haveSameMemory(draft.record, known);
      if (!isRead || lastOwn(draft.record, summaryLog(to)) !== entries) return null;
      return storeSummary(draft, { summary, isStored }, writer, context);
    });
    const before = known;
    known = handle.record;
    if (written.status !== "ok") return undefined;
    if (found !== undefined) return found;
    if (isStored) return summaryAt(summary, at);
    throw new SessionError("conflict", {
      ...sessionIds(read),
      seenTurn: to,
      storedTurn: headOf(before, "turns"),
      seenVersion: read.turnsVersion,
      storedVersion: before.turnsVersion,
    });
  });
}

/** True for a turn that no model is shown because a caller left it out. */
export function isLeftOut({ leftOut }: TurnMemory, turn: Turn): boolean {
  return leftOut.some(([seq, identity]) => seq === turn.seq && identity === turnIdentity(turn));
}

/** True where the same turns are left out of both. */
export function haveSameMemory(a: SessionRecord, b: SessionRecord): boolean {
  return markOf(a, memoryLog) === markOf(b, memoryLog);
}

/** The summary up to this turn of the current branch. */
async function storedOf(core: Core, record: SessionRecord, to: number): Promise<Summary | undefined> {
  for await (const { summary } of currentSummaries(core, record, new KnownTurns(core, record)))
    if (summary.to === to) return summary;
  return undefined;
}

function summaryAt({ to, text, agent, model, usage }: NewSummary, at: number): Summary {
  return { from: 1, to, text, at: new Date(at), agent, ...defined({ model, usage }) };
}
