/** A thread as it is stored: its runs are turns, and their events are entries of a named log. */
import { decode, encode, slicesOf } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import {
  hasCode,
  idFor,
  sameValue,
  type Limits,
  type LogEntry,
  type LogEntryInput,
  type Session,
  type SessionWrite,
  type Streams,
  type Turn,
  type TurnInput,
  type Value,
} from "../../index.ts";
import { addJoined, closingEvents, fieldsOf, lost, type BrokenOff } from "./events.ts";
import { canonicalInput, eventsOfTurn, inputOf, outputOf, usageOf, type RunHeader } from "./messages.ts";
import type { AgUiEvent } from "./package-copilotkit.ts";
import { nodeCrypto } from "../../node-crypto.ts";

/** The log with the events of runs. */
export const eventsLog = "copilotkit";

/** A run that has ended. */
export interface StoredRun {
  readonly header: RunHeader;
  readonly events: readonly AgUiEvent[];
}

/** The value of an entry: events of a run, or a part of the text of one. The last entry of a run has its key. */
interface StoredEvents {
  readonly run: RunHeader;
  /** The number of entries of the run. */
  readonly entries: number;
  readonly events?: readonly AgUiEvent[];
  readonly text?: string;
  /** True for the last part of a text. */
  readonly isLast?: boolean;
}

/** The bytes of an entry beside its events: the header of the run and the names of the fields. */
const frameBytes = 8192;

/** The key of a run's turn and of its last entry, always the same. */
export function runKey(runId: string): string {
  const id = idFor(runId);
  return id.length <= 200
    ? id
    : `sha256-${nodeCrypto().createHash("sha256").update(JSON.stringify(id)).digest("base64url")}`;
}

/** The stream of a run that is in progress, always the same. */
export function streamOf(session: string, key: string): string {
  return idFor(`${session}/copilotkit/${key}`);
}

/** The entries for the events of a run. */
export function entriesOf({ header, events }: StoredRun, { entryBytesMax }: Limits): readonly LogEntryInput[] {
  const bytesMax = entryBytesMax - frameBytes;
  const parts: Omit<StoredEvents, "run" | "entries">[] = [];
  let group: AgUiEvent[] = [];
  let bytes = 0;
  const close = (): void => {
    if (group.length > 0) parts.push({ events: group });
    [group, bytes] = [[], 0];
  };
  for (const event of events) {
    const text = encode(event);
    const size = Buffer.byteLength(text) + 1;
    if (bytes + size > bytesMax) close();
    if (size <= bytesMax) {
      group.push(event);
      bytes += size;
      continue;
    }
    const slices = slicesOf(text, bytesMax);
    for (const [at, slice] of slices.entries()) parts.push({ text: slice, isLast: at === slices.length - 1 });
  }
  close();
  return parts.map((part, at) => {
    const value = { run: header, entries: parts.length, ...part } as unknown as Value;
    return at === parts.length - 1 ? { key: runKey(header.runId), value } : { value };
  });
}

function runOf(entries: readonly LogEntry[]): StoredRun | undefined {
  const events: AgUiEvent[] = [];
  let text = "";
  for (const { value } of entries) {
    const stored = value as unknown as StoredEvents;
    events.push(...(stored.events ?? []));
    text += stored.text ?? "";
    if (stored.isLast !== true) continue;
    events.push(decode(text) as unknown as AgUiEvent);
    text = "";
  }
  const last = entries.at(-1)?.value as unknown as StoredEvents | undefined;
  return last === undefined ? undefined : { header: last.run, events };
}

/** The run with this key; undefined if the log has none. */
export async function storedRun(session: Session, key: string): Promise<StoredRun | undefined> {
  const log = session.log(eventsLog);
  const [last] = await log.get([key]);
  if (last === undefined) return undefined;
  const { entries } = last.value as unknown as StoredEvents;
  const before =
    entries === 1 ? [] : await Array.fromAsync(log.entries({ from: last.seq - entries + 1, to: last.seq - 1 }));
  return runOf([...before, last]);
}

/** All runs of the log, by their keys. */
async function storedRuns(session: Session): Promise<ReadonlyMap<string, StoredRun>> {
  const runs = new Map<string, StoredRun>();
  let entries: LogEntry[] = [];
  for await (const entry of session.log(eventsLog).entries()) {
    entries.push(entry);
    if (entry.key === null) continue;
    const run = runOf(entries);
    if (run !== undefined) runs.set(entry.key, run);
    entries = [];
  }
  return runs;
}

/** The turn of a run that has ended. */
export function turnOfRun({ header, events }: StoredRun, isStopped: boolean): TurnInput {
  const { type } = events.at(-1) ?? {};
  const status = isStopped ? "interrupted" : type === "RUN_FINISHED" ? "done" : "failed";
  const input = canonicalInput(inputOf(events));
  return { input, output: outputOf(events, header.after), status, ...usageOf(events) };
}

/** The write of the end of a run. */
export function endOf(
  run: StoredRun,
  {
    turn,
    limits,
    onto,
    isStopped,
    durationMs,
  }: {
    readonly turn: Turn;
    readonly limits: Limits;
    readonly onto: NonNullable<SessionWrite["onto"]>;
    readonly isStopped: boolean;
    readonly durationMs?: number;
  },
): SessionWrite {
  const turns = [{ ...turnOfRun(run, isStopped), ...defined({ durationMs }) }];
  const entries = entriesOf(run, limits).map((entry) => ({ ...entry, ifPresent: "skip" as const }));
  return { turns: { from: turn.seq, amends: true, turns }, logs: { [eventsLog]: { entries } }, onto };
}

/** The header and the events of a stream that has ended, whatever its end; undefined if no part came. */
async function partsOf(streams: Streams, id: string): Promise<StoredRun | undefined> {
  let header: RunHeader | undefined;
  const events: AgUiEvent[] = [];
  try {
    for await (const { part } of streams.read(id))
      if (header === undefined) header = part as unknown as RunHeader;
      else addJoined(events, part as unknown as AgUiEvent);
  } catch (error) {
    if (!hasCode(error, "stream_failed") && !hasCode(error, "stream_not_found")) throw error;
  }
  return header === undefined ? undefined : { header, events };
}

/**
 * Stores what had arrived of a run whose process has ended. False where nothing of it was left to store, or where another process
 * is storing it.
 */
export async function keepArrived(session: Session, streams: Streams, limits: Limits): Promise<boolean> {
  const look = await session.look([{ log: "turns", last: 1 }]);
  const [last] = await Array.fromAsync(session.turns({ last: 1 }));
  if (last?.status !== "interrupted" || last.key === null) return false;
  const id = streamOf(session.id, last.key);
  const status = await streams.status(id);
  if (status !== "lost" && status !== "error") return false;
  const arrived = await partsOf(streams, id);
  try {
    if (arrived !== undefined && (await storedRun(session, last.key)) === undefined) {
      const events = [...arrived.events, ...closingEvents(arrived.events, arrived.header, lost)];
      const end = endOf({ ...arrived, events }, { turn: last, limits, onto: look, isStopped: true });
      if ((await session.write(end)).status !== "ok") return false;
    }
  } catch (error) {
    if (hasCode(error, "conflict") || hasCode(error, "busy")) return false;
    // Too large to store: the question stays.
    const isTooLarge = (["turn_too_large", "write_too_large", "turn_parts_exceeded"] as const).some((code) =>
      hasCode(error, code),
    );
    if (!isTooLarge) throw error;
  }
  await streams.delete(id);
  return true;
}

/** A thread at one moment. */
export interface ThreadView {
  /** The events of the turns that have ended. */
  readonly events: readonly AgUiEvent[];
  /** The stream of the run that is in progress behind them. */
  readonly running?: string;
}

/** Reads of a thread whose runs end meanwhile. */
const roundsMax = 5;

/** The events of a thread, run by run, and its run in progress. */
export async function viewOf(
  session: Session,
  threadId: string,
  { streams, limits }: { readonly streams: Streams; readonly limits: Limits },
): Promise<ThreadView> {
  for (let round = 1; ; round++) {
    const turns = await Array.fromAsync(session.turns());
    const last = turns.at(-1);
    const mayRun = last?.status === "interrupted" && last.key !== null;
    const id = mayRun ? streamOf(session.id, last.key) : "";
    const status = mayRun ? await streams.status(id) : "missing";
    const isRunning = status === "streaming";
    // It has ended since its turn was read, or its process has.
    const hasChanged =
      status === "done" || ((status === "lost" || status === "error") && (await keepArrived(session, streams, limits)));
    if (hasChanged && round < roundsMax) continue;
    const runs = await storedRuns(session);
    const shown = isRunning ? turns.slice(0, -1) : turns;
    const events = shown.flatMap((turn) => eventsOf(turn, threadId, runs));
    return { events, ...(isRunning ? { running: id } : {}) };
  }
}

/** The events of a turn: those of its run, unless another framework wrote it, or has changed it since. */
function eventsOf(turn: Turn, threadId: string, runs: ReadonlyMap<string, StoredRun>): readonly AgUiEvent[] {
  const run = turn.key === null ? undefined : runs.get(turn.key);
  if (run === undefined) return eventsOfTurn(threadId, turn);
  const { input, output } = turnOfRun(run, false);
  const isOwn = sameValue([turn.input, turn.output], [input, output] as Value);
  return isOwn ? run.events : eventsOfTurn(threadId, turn);
}

/** The ids that the events of a turn give to messages. */
function idsOf(events: readonly AgUiEvent[]): ReadonlySet<unknown> {
  const ids = new Set<unknown>();
  for (const given of events) {
    const { messageId, parentMessageId, toolCallId, messages } = fieldsOf(given);
    for (const id of [messageId, parentMessageId, toolCallId]) ids.add(id);
    for (const { id } of [...inputOf([given]), ...(Array.isArray(messages) ? (messages as { id?: unknown }[]) : [])])
      ids.add(id);
  }
  ids.delete(undefined);
  return ids;
}

/** The messages of a client that the thread does not have: those behind the last one that it has. */
export async function newMessages<M extends { readonly id: string }>(
  session: Session,
  threadId: string,
  messages: readonly M[],
): Promise<readonly M[]> {
  const [end] = await Array.fromAsync(session.turns({ last: 1 }));
  for (let seq = end?.seq ?? 0; seq > 0; seq--) {
    for await (const turn of session.turns({ from: seq, to: seq })) {
      const run = turn.key === null ? undefined : await storedRun(session, turn.key);
      const ids = idsOf([...(run?.events ?? []), ...eventsOfTurn(threadId, turn)]);
      const at = messages.findLastIndex(({ id }) => ids.has(id));
      if (at >= 0) return messages.slice(at + 1);
    }
  }
  return messages;
}

/**
 * The events of a run in progress, in any process, from its first one. A run that was stopped, or whose process has ended, ends with the
 * events that are missing.
 */
export async function* followed(
  streams: Streams,
  id: string,
  { threadId, signal }: { readonly threadId: string; readonly signal: AbortSignal },
): AsyncGenerator<AgUiEvent, void, void> {
  let header: RunHeader | undefined;
  const events: AgUiEvent[] = [];
  let broken: BrokenOff = { how: "stopped" };
  try {
    for await (const { part } of streams.read(id, { signal })) {
      if (header === undefined) {
        header = part as unknown as RunHeader;
        continue;
      }
      const given = part as unknown as AgUiEvent;
      addJoined(events, given);
      yield given;
    }
  } catch (error) {
    if (!hasCode(error, "stream_failed") && !hasCode(error, "stream_not_found")) throw error;
    if (!hasCode(error, "stream_failed") || error.details.how !== "stopped") broken = lost;
  }
  if (!signal.aborted) yield* closingEvents(events, header ?? { threadId, runId: id }, broken);
}
