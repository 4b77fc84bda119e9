/** Reads the entries that a write replaces, with the marks of their logs, for the rule of the write. */
import { isShared } from "../../domain/branches/branching.ts";
import { inheritedIn } from "../../domain/branches/segments.ts";
import { headOf, turnsIdentity } from "../../domain/record/change.ts";
import type { Entry, LogName } from "../../domain/record/entry.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { turnOf, type Turn } from "../../domain/turns/turn.ts";
import { TruncatedSums } from "../../domain/turns/truncated-usage.ts";
import { defined } from "../../domain/values/defined.ts";
import { turnIdentity } from "../../domain/memory/turn-identity.ts";
import { markOf, type KnownLog, type NewEntries } from "../../domain/writes/named-logs.ts";
import type { Known, KnownTurns, NewTurns, NewWrite } from "../../domain/writes/session-write.ts";
import { SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import type { Handle } from "../handle/handle.ts";
import { keptTurns, treeFor } from "../handle/kept-turns.ts";
import { readLog } from "../core/log-reader.ts";
import { marksOfAmended, putStaying, stayingUpTo } from "../turn-marks/turn-changes.ts";

/** A write that replaces nothing needs no reading. */
export const nothingKnown: Known = { logs: new Map() };

/** @throws SessionError `store_invalid` for a turn that cannot be read, `write_too_large`, and the store's */
export async function knownFor(handle: Handle, write: NewWrite): Promise<Known> {
  // A turn that a dead writer left open is sealed first, so that its messages are counted.
  if (write.turns?.from !== undefined) await handle.recoverAbandoned();
  const { core, record } = handle;
  const turns = write.turns === undefined ? undefined : await knownTurns(handle, record, write.turns);
  const logs = new Map<LogName, KnownLog>();
  for (const entries of write.logs) logs.set(entries.log, await knownLog(core, record, entries));
  return defined({ turns, logs });
}

async function knownTurns(
  handle: Handle,
  record: SessionRecord,
  { from, amendment, keep = false }: NewTurns,
): Promise<KnownTurns> {
  const { core } = handle;
  if (from !== undefined && amendment === undefined && (keep || isShared(record, from - 1)))
    return { identity: turnsIdentity(record), truncated: await keptTurns(core, record, from - 1) };
  const sums = new TruncatedSums();
  let last: Turn | undefined;
  const known = from === headOf(record, "turns") ? handle.lastTurnOf(record) : undefined;
  const entries =
    known === undefined
      ? entriesFrom(core, record, { log: "turns", from: from ?? headOf(record, "turns") + 1 })
      : [known];
  for await (const entry of entries) {
    last = turnOf(entry);
    sums.add(last, inheritedIn(record, "turns"));
  }
  const amended = amendment === undefined ? undefined : last;
  const truncated = { ...sums.result, ...(await treeFor(core, record)) };
  const input = amendment?.input;
  const keepMarks =
    amended === undefined || input === undefined || beginsAs(amended, input)
      ? undefined
      : await marksOfAmended(core, record, amended);
  const deletes = from !== undefined && amendment === undefined && from <= headOf(record, "turns");
  const deleteMarks = deletes ? await marksUpTo(core, record, from - 1) : undefined;
  return defined({ identity: turnsIdentity(record), truncated, last: amended, keepMarks, deleteMarks });
}

/** Has the marks and ratings of the turns up to `after` stay, and no others. */
async function marksUpTo(
  core: Core,
  record: SessionRecord,
  after: number,
): Promise<NonNullable<KnownTurns["deleteMarks"]>> {
  const staying = await stayingUpTo(core, record, after);
  return (draft, context) => putStaying(draft, staying, context);
}

/** True where the turn has its identity also with this input. */
function beginsAs(turn: Turn, input: Turn["input"]): boolean {
  return turnIdentity({ ...turn, input }) === turnIdentity(turn);
}

async function knownLog(core: Core, record: SessionRecord, write: NewEntries): Promise<KnownLog> {
  const { log, entries } = write;
  const mark = markOf(record, log);
  const keyed = entries.filter(({ key, ifPresent }) => key !== null && ifPresent !== "refuse");
  const wanted = [...new Set(keyed.map(({ key }) => key ?? ""))];
  const keys = new Map<string, number>();
  for await (const { key, seq } of entriesOfKeys(core, record, { log, keys: wanted })) keys.set(key ?? "", seq);
  const end = (write.from ?? headOf(record, log) + 1) - 1;
  const replaced = keyed
    .filter(({ ifPresent }) => ifPresent === "replace")
    .flatMap(({ key }) => keys.get(key ?? "") ?? [])
    .filter((seq) => seq <= end);
  const from = Math.min(end + 1, ...replaced);
  const tail: Entry[] = [];
  if (from <= end) {
    guardTail(record, { log, count: end - from + 1 + entries.length, part: "entries" }, core);
    let bytes = 0;
    for await (const entry of entriesFrom(core, record, { log, from, to: end })) {
      tail.push(entry);
      bytes += Buffer.byteLength(entry.data);
      guardTail(record, { log, count: bytes, part: "writeBytes" }, core);
    }
  }
  return { mark, keys, tail };
}

/** @throws SessionError `write_too_large` for more than one write may rewrite */
function guardTail(
  record: SessionRecord,
  { log, count, part }: { readonly log: LogName; readonly count: number; readonly part: "entries" | "writeBytes" },
  { options: { limits } }: Core,
): void {
  const countMax = part === "entries" ? limits.writeEntriesMax : limits.writeBytesMax;
  if (count > countMax)
    throw new SessionError("write_too_large", { ...sessionIds(record), log, part, count, countMax });
}

/** Keys of one read: their entries are in memory together. */
const keysAtOnce = 50;

/** The entries with these keys, some at a time. */
export async function* entriesOfKeys(
  core: Core,
  record: SessionRecord,
  { log, keys }: { readonly log: LogName; readonly keys: readonly string[] },
): AsyncGenerator<Entry, void, void> {
  for (let from = 0; from < keys.length; from += keysAtOnce)
    yield* await readLog(core, record, { log, keys: keys.slice(from, from + keysAtOnce) });
}

/** The entries of a log from one seq on, page by page. It ends early where the log was truncated meanwhile. */
async function* entriesFrom(
  core: Core,
  record: SessionRecord,
  { log, from, to = headOf(record, log) }: { readonly log: LogName; readonly from: number; readonly to?: number },
): AsyncGenerator<Entry, void, void> {
  const { readMax: limit, readBytesMax: bytesMax } = core.options.limits;
  for (let next = from; next <= to;) {
    const page = await readLog(core, record, { log, from: next, to, order: "ascending", limit, bytesMax });
    yield* page;
    const last = page.at(-1);
    if (last === undefined) return;
    next = last.seq + 1;
  }
}
