/** Checkpoints of a thread of LangGraph, from the logs in which the adapter keeps them: their channels and writes. */
import { escapedForKey } from "../../../domain/values/ids.ts";
import { call, sessionPath } from "../http/api.ts";
import type { Session } from "../http/wire.ts";

const logs = { checkpoints: "lg-checkpoints", values: "lg-values", writes: "lg-writes" } as const;
/** So many checkpoints are shown at once. */
const pageCheckpoints = 50;
/** The last so many elements of a list are read. */
const elementsMax = 20;

interface Entry {
  readonly seq: number;
  readonly key: string | null;
  readonly value: unknown;
}

interface EntryPage {
  readonly items: readonly Entry[];
  readonly next?: string;
}

export interface Checkpoint {
  /** The number of its entry. */
  readonly seq: number;
  readonly id: string;
  /** The namespace of a subgraph; empty for the graph itself. */
  readonly namespace: string;
  /** The namespace as a part of keys. */
  readonly namespaceKey: string;
  readonly at: string;
  readonly step: number;
  /** `input`, `loop`, `update` or `fork`. */
  readonly source: string;
  readonly parent: string | undefined;
  /** The version of each channel. */
  readonly versions: Readonly<Record<string, string | number>>;
}

interface StoredCheckpoint {
  readonly ns?: string;
  readonly parent?: string;
  readonly cp: { readonly id: string; readonly ts: string; readonly channel_versions: Checkpoint["versions"] };
  readonly meta: { readonly source?: string; readonly step?: number };
}

/** True for a session that is a thread of LangGraph. */
export function isThread({ logs: named = {} }: Session): boolean {
  return Object.hasOwn(named, logs.checkpoints);
}

/** A page of checkpoints, the newest first; a page may have less than the next one. @throws Problem */
export async function checkpointsOf(
  id: string,
  after: string | undefined,
  signal: AbortSignal,
): Promise<{ readonly checkpoints: readonly Checkpoint[]; readonly next: string | undefined }> {
  const page = await read(id, logs.checkpoints, { order: "descending", limit: pageCheckpoints, after }, signal);
  const checkpoints = page.items.flatMap(({ seq, key, value }) => {
    const [kind, namespaceKey = ""] = key?.split("|") ?? [];
    const stored = value as Partial<StoredCheckpoint> | null;
    if (kind !== "c" || stored?.cp === undefined) return [];
    const { ns = "", parent, cp, meta = {} } = stored;
    const { step = 0, source = "" } = meta;
    const one: Checkpoint = {
      seq,
      id: cp.id,
      namespace: ns,
      namespaceKey,
      at: cp.ts,
      step,
      source,
      parent,
      versions: cp.channel_versions,
    };
    return [one];
  });
  return { checkpoints, next: page.next };
}

/** The channels that people know; the others steer the graph. */
export function channelsOf({ versions }: Checkpoint): readonly string[] {
  return Object.keys(versions).filter((name) => !name.startsWith("__") && !name.startsWith("branch:"));
}

export interface ChannelValue {
  readonly value: unknown;
  /** Elements in front of those in `value`. */
  readonly earlier: number;
}

export interface TaskWrite {
  readonly node: string;
  readonly channel: string;
  readonly value: unknown;
}

export interface CheckpointContent {
  readonly values: ReadonlyMap<string, ChannelValue>;
  /** What tasks wrote after the checkpoint, interrupts among it. */
  readonly writes: readonly TaskWrite[];
}

/** The values of the channels, and the writes of the tasks. @throws Problem */
export async function contentOf(id: string, checkpoint: Checkpoint, signal: AbortSignal): Promise<CheckpointContent> {
  const { namespaceKey, versions } = checkpoint;
  const keys = new Map(
    channelsOf(checkpoint).map((name) => [
      `v|${namespaceKey}|${escapedForKey(name)}|${escapedForKey(String(versions[name]))}`,
      name,
    ]),
  );
  const found = await byKeys(id, logs.values, [...keys.keys()], signal);
  const values = await Promise.all(
    [...found].map(async ([key, value]) => [keys.get(key) ?? key, await valueOf(id, value, signal)] as const),
  );
  const prefix = `${namespaceKey}|${escapedForKey(checkpoint.id)}|`;
  const calls = await read(id, logs.writes, { prefix, limit: 100 }, signal);
  const writes = await Promise.all(
    calls.items.map(async ({ value }) => {
      const whole = await wholeOf(id, logs.writes, value, signal);
      const { path = "", writes: all = [] } = whole as { path?: string; writes?: readonly [string, unknown][] };
      const node = path.split(", ").at(-1) ?? "";
      return all
        .filter(([channel]) => !channel.startsWith("branch:"))
        .map(([channel, written]): TaskWrite => ({ node, channel, value: plain(written) }));
    }),
  );
  return { values: new Map(values), writes: writes.flat() };
}

type Run = readonly [list: string, from: number, to: number];

async function valueOf(id: string, stored: unknown, signal: AbortSignal): Promise<ChannelValue> {
  const whole = (await wholeOf(id, logs.values, stored, signal)) as { value?: unknown; runs?: readonly Run[] };
  if (whole.runs === undefined) return { value: plain(whole.value), earlier: 0 };
  const count = whole.runs.reduce((sum, [, from, to]) => sum + to - from, 0);
  const last: Run[] = [];
  let left = elementsMax;
  for (const [list, from, to] of whole.runs.toReversed()) {
    if (left <= 0) break;
    const begin = Math.max(from, to - left);
    last.unshift([list, begin, to]);
    left -= to - begin;
  }
  const elements = (await Promise.all(last.map(async (run) => await elementsOf(id, logs.values, run, signal)))).flat();
  const values = await Promise.all(elements.map(async (one) => await writtenOf(id, one, signal)));
  return { value: values.map(plain), earlier: count - elements.length };
}

async function elementsOf(id: string, log: string, [list, from, to]: Run, signal: AbortSignal): Promise<unknown[]> {
  const keyAt = (index: number): string => `e|${list}|${index.toString(36).padStart(6, "0")}`;
  const page = await read(id, log, { fromKey: keyAt(from), toKey: keyAt(to), limit: 500 }, signal);
  return page.items.map(({ value }) => value);
}

/** An element of a list is either there, or in the write of the task that made it. */
async function writtenOf(id: string, element: unknown, signal: AbortSignal): Promise<unknown> {
  const { $lg, key, at } = (element ?? {}) as { $lg?: string; key?: string; at?: readonly [number, number?] };
  if ($lg !== "written" || key === undefined || at === undefined) return element;
  const stored = (await byKeys(id, logs.writes, [key], signal)).get(key);
  const { writes } = (await wholeOf(id, logs.writes, stored, signal)) as { writes?: readonly [string, unknown][] };
  const value = writes?.[at[0]]?.[1];
  return at[1] === undefined ? value : (value as readonly unknown[] | undefined)?.[at[1]];
}

/** A long value is stored in pieces. */
async function wholeOf(id: string, log: string, value: unknown, signal: AbortSignal): Promise<object> {
  const { $lg, list = "", count = 0 } = (value ?? {}) as { $lg?: string; list?: string; count?: number };
  if ($lg !== "pieces") return typeof value === "object" && value !== null ? value : {};
  const pieces = await elementsOf(id, log, [list, 0, count], signal);
  return JSON.parse(pieces.join("")) as object;
}

async function byKeys(
  id: string,
  log: string,
  keys: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, unknown>> {
  const found = new Map<string, unknown>();
  for (let at = 0; at < keys.length; at += 100) {
    const page = await read(id, log, { key: keys.slice(at, at + 100) }, signal);
    for (const { key, value } of page.items) if (key !== null) found.set(key, value);
  }
  return found;
}

async function read(
  id: string,
  log: string,
  query: Readonly<Record<string, string | number | readonly string[] | undefined>>,
  signal: AbortSignal,
): Promise<EntryPage> {
  return await call<EntryPage>(sessionPath(id, `/logs/${log}`), { query, signal });
}

/** A stored value without its tags: a message as its class and its content. */
function plain(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  const { $lg, ...rest } = value as Readonly<Record<string, unknown>>;
  if ($lg === "message" || $lg === "object") {
    const { class: name, fields } = rest as { class?: unknown; fields?: object };
    return { [String(name)]: plain(fields) };
  }
  const fields = Object.entries($lg === undefined ? value : rest);
  return Object.fromEntries(fields.map(([name, one]) => [name, plain(one)]));
}
