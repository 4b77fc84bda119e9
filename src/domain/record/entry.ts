/** The key of a session. The tenant leads every key and every predicate; a session cannot be named without it. */
export interface SessionKey {
  readonly tenant: string;
  readonly id: string;
}

/** A key as one text, to index maps by; neither part can contain the separator. */
export function keyText(key: SessionKey): string {
  return `${key.tenant}\u0000${key.id}`;
}

/** The name of a log of a session: one of Perdure's own, or a named log, which callers write. */
export type LogName = "turns" | "chunks" | "events" | "instructions" | (string & {});

/** The log with the usage of truncated turns. Stores have it under this name since the first version. */
export const truncatedUsageLog = "spent";

/** The beginning of the names of the logs with turns that only other branches than the current one have. */
export const keptBeginning = "turns#";

/** The log with the turns that only this branch, which is not the current one, has. */
export function keptLog(branch: number): LogName {
  return `${keptBeginning}${branch}`;
}

/** The branch whose turns a log has; undefined for other logs. */
export function branchOfLog(log: LogName): number | undefined {
  return log.startsWith(keptBeginning) && /^turns#[1-9]\d{0,14}$/.test(log)
    ? Number(log.slice(keptBeginning.length))
    : undefined;
}

/** The log whose only entry lists the branches. */
export const branchesLog = "#branches";

/** True for a log of branches. No caller can give a log such a name. */
export function isBranchLog(log: LogName): boolean {
  return log === branchesLog || branchOfLog(log) !== undefined;
}

const summaryBeginning = "#summary:";

/** The log with the summaries of the turns up to this one: of several branches there may be one each. */
export function summaryLog(to: number): LogName {
  return `${summaryBeginning}${to}`;
}

/** The last turn that the summaries of a log cover; undefined for other logs. */
export function summarizedTo(log: LogName): number | undefined {
  return log.startsWith(summaryBeginning) && /^#summary:[1-9]\d{0,14}$/.test(log)
    ? Number(log.slice(summaryBeginning.length))
    : undefined;
}

/** The log whose only entry names the turns that are pinned and those that are left out. */
export const memoryLog = "#memory";

/** The log of the ratings of turns. */
export const feedbackLog = "#feedback";

/** The log with an entry for each attempt of a model to make the title. */
export const titlesLog = "#titles";

/** True for a log of what models are shown of earlier turns, of ratings, and of titles. No caller can give a log such a name. */
export function isMemoryLog(log: LogName): boolean {
  return log === memoryLog || log === feedbackLog || log === titlesLog || summarizedTo(log) !== undefined;
}

const ownLogs: ReadonlySet<LogName> = new Set([
  "turns",
  "chunks",
  "events",
  "instructions",
  truncatedUsageLog,
  "inherited",
  "replaced",
  "replaced-keys",
  "archive",
  "forks",
  "state",
  "told",
]);

/** True for a log that callers write, and not Perdure. */
export function isNamedLog(log: LogName): boolean {
  return !ownLogs.has(log) && !isBranchLog(log) && !isMemoryLog(log);
}

/** One row of a log. */
export interface Entry {
  /** Its number in the log: 1, 2, 3 … without gaps. The log of events may lack its first entries. */
  readonly seq: number;
  /** The idempotency key, unique within its log. */
  readonly key: string | null;
  /** The time when it was made, epoch ms; for display, not for order. */
  readonly at: number;
  /** Text made by the codec. */
  readonly data: string;
}

/**
 * Makes an entry, field by field. V8 allocates the objects of a literal among the old objects once most of them have survived a
 * collection, as the entries of a burst of appends do. An old entry keeps its text alive until a collection of all objects, also
 * when nothing names the entry any more. An object that begins empty is always young.
 */
export function newEntry({ seq, at }: Pick<Entry, "seq" | "at">, key: string | null, data: string): Entry {
  const entry = {} as EditableEntry;
  entry.seq = seq;
  entry.key = key;
  entry.at = at;
  entry.data = data;
  return entry;
}

type EditableEntry = { -readonly [Field in keyof Entry]: Entry[Field] };

/** An entry of a log that cannot be read. */
export interface UnreadableEntry {
  /** Its number in the log. */
  readonly seq: number;
  /** The damaged part. */
  readonly reason: string;
}

/**
 * Replace the entries of `log` from `from` on by `entries`, whose seq are contiguous. Entries with seq before `from`
 * are put in front of the stored ones: the last of them precedes the first stored entry, `from` is after the last one,
 * and nothing is replaced.
 */
export interface Splice {
  readonly log: LogName;
  readonly from: number;
  readonly entries: readonly Entry[];
  /** True if the log of the expected record ends before `from`, so a store need not look for entries to replace. @default false */
  readonly appends?: boolean;
}
