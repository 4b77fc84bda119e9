/** Sessions by the many from elsewhere: each as one change, many changes in a commit, and none of them twice. */
import { isDeepStrictEqual } from "node:util";
import type { SessionKey } from "../../domain/record/entry.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { Portable } from "../../domain/copies/snapshot.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { portableConversation, type Conversation } from "./conversation.ts";
import { codeOfFailure, endsPass, messageOfFailure } from "../core/pass-failures.ts";
import { readSnapshot, type ReadSnapshot } from "./snapshot-reader.ts";
import { portableSession, replaceable, restoredSession, standing, withStaged } from "./snapshots.ts";
import { snapshotText } from "./snapshot-text.ts";
import { inWindows, type WindowMax } from "./batches.ts";
import { parseOneOf } from "../options/arguments.ts";

/** A session that comes from elsewhere. */
export interface Arrival {
  readonly key: SessionKey;
  readonly portable: Portable;
}

/** What became of it: `present` where the very same stood there already. */
export type Arrived = "restored" | "present" | "replaced";

/** What is to become of one that stands already and is another. */
export interface ArrivalPolicy {
  /** True where the one that stands counts as the same. */
  readonly isSame: (standing: Portable, arriving: Portable) => boolean;
  /** True where the arriving one takes its place. */
  readonly mayReplace: (standing: Portable, arriving: Portable) => boolean;
  /** True for a record that is an earlier state of the arriving session: that one takes its place, also of one under hold. */
  readonly isEarlier?: (standing: SessionRecord) => boolean;
  /** The mark of the record that is written. @default the commit's own */
  readonly mark?: string;
  /** Only say what would become of it. */
  readonly dryRun: boolean;
}

/** The same, byte for byte, as one with this checksum. */
export function hasChecksum(checksum: string): (standing: Portable) => boolean {
  return (standing) => snapshotText(standing).checksum === checksum;
}

/** The same messages, whenever they came. */
export function saysTheSame(standing: Portable, arriving: Portable): boolean {
  const [texts, others] = [standing, arriving].map(({ logs }) => (logs.get("turns") ?? []).map(({ data }) => data));
  return isDeepStrictEqual(texts, others);
}

/** True where what stands is a beginning of what arrives: it was brought here before, and the other went on. */
export function isBehind(standing: Portable, arriving: Portable): boolean {
  const later = arriving.logs.get("turns") ?? [];
  const earlier = standing.logs.get("turns") ?? [];
  // The last of them may have been in progress.
  const sealed = standing.record.openTurn === null ? earlier : earlier.slice(0, -1);
  if (standing.record.lastActivityAt > arriving.record.lastActivityAt) return false;
  return (
    earlier.length <= later.length &&
    sealed.every(({ data, key }, index) => data === later[index]?.data && key === later[index].key)
  );
}

/**
 * Put one session where it belongs, unless it is there.
 * @throws SessionError `session_exists` where another stands that may not be replaced, `busy`, the store's
 */
export async function arrive(core: Core, arrival: Arrival, policy: ArrivalPolicy): Promise<Arrived> {
  const { key, portable } = arrival;
  await core.learnTime();
  return await withStaged(core, portable, async (stage) => {
    // Most are new and are written at once; what stands is found on the way. A large one is not staged in vain.
    let found = policy.dryRun || stage.isNeeded ? (await core.find(key))?.record : undefined;
    for (;;) {
      const isLater = found !== undefined && policy.isEarlier?.(found) === true;
      const arrived = found === undefined ? "restored" : await judge(core, arrival, { ...policy, isLater });
      if (arrived === "present" || policy.dryRun) return arrived;
      const replaced = found && (await replaceable(core, found, { isLater }));
      const changes = await restoredSession(core, portable, { key, found: replaced, isLater, stage });
      const outcome = await core.commit(changes, policy.mark);
      if (outcome.status === "ok") return arrived;
      found = await standing(core, key, outcome);
    }
  });
}

/** What would become of it beside the one that stands. @throws SessionError `session_exists` */
async function judge(
  core: Core,
  { key, portable }: Arrival,
  policy: ArrivalPolicy & { readonly isLater: boolean },
): Promise<Arrived> {
  let standing: Portable;
  try {
    standing = await portableSession(core, key);
  } catch (error) {
    if (hasCode(error, "session_not_found")) return "restored"; // it was removed meanwhile
    throw error;
  }
  if (policy.isSame(standing, portable)) return "present";
  if (policy.isLater || policy.mayReplace(standing, portable)) return "replaced";
  throw new SessionError("session_exists", { sessionId: key.id, tenant: key.tenant });
}

/**
 * What is to be imported: a snapshot's text, a conversation of another program, or what could not be read. `source` is how
 * the report calls it.
 */
export type ImportItem =
  | { readonly source?: string; readonly text: string }
  | { readonly source: string; readonly conversation: Conversation }
  | { readonly source: string; readonly error: SessionError };

/** How to import. */
export interface ImportOptions {
  /** Only say what would become of each. @default false */
  readonly dryRun?: boolean;
  /** Where another session of the id exists: leave it, or put this one in its place. @default "skip" */
  readonly onExists?: "skip" | "replace";
  /** The agent of conversations that name none. @default as for a new session */
  readonly agent?: string;
  /** Called after each commit. */
  readonly onProgress?: (report: ImportReport) => void;
}

/** What an import did, or would do. */
export interface ImportReport {
  readonly restored: number;
  /** Stood there already, the very same. */
  readonly present: number;
  readonly replaced: number;
  /** Turns of those restored and replaced. */
  readonly turns: number;
  readonly skipped: number;
  /** Why, the first hundred of them. */
  readonly reasons: readonly SkippedItem[];
}

/** What was not imported, and why. */
export interface SkippedItem {
  readonly source: string;
  readonly code: string;
  readonly message: string;
}

/** So many sessions, or characters of their texts, are under way at the same time. */
export const windowMax: WindowMax = { count: 64, size: 1024 * 1024 };
const reasonsMax = 100;
/** A file with more items that cannot be read is no file of sessions: reading on would take time for nothing. */
const unreadableMax = 10_000;

/** What was left out, how often and why. */
export class Skipped {
  #count = 0;
  readonly #reasons: SkippedItem[] = [];

  add(source: string, error: unknown): void {
    this.#count++;
    const [code, message] = [codeOfFailure(error), messageOfFailure(error)];
    if (this.#reasons.length < reasonsMax) this.#reasons.push({ source, code, message });
  }

  get report(): Pick<ImportReport, "skipped" | "reasons"> {
    return { skipped: this.#count, reasons: [...this.#reasons] };
  }
}

/**
 * Import what comes, in bounded memory. What is wrong with one is told in the report and keeps nobody else out.
 * @throws SessionError the store's, where it fails, and `snapshot_invalid` where more than {@link unreadableMax} items
 *   cannot be read; what was imported by then stays, and importing again goes on
 */
export async function importAll(
  core: Core,
  items: AsyncIterable<ImportItem | string> | Iterable<ImportItem | string>,
  { tenant, dryRun = false, onExists = "skip", agent, onProgress }: ImportOptions & { readonly tenant: string },
): Promise<ImportReport> {
  core.guardOpen();
  // A conversation is made into a session of this moment before the store is looked at for it.
  await core.learnTime();
  const replaces = parsePolicy(onExists) === "replace";
  const counts = { restored: 0, present: 0, replaced: 0, turns: 0 };
  const skipped = new Skipped();
  let unreadable = 0;
  const bring = async (item: NamedItem): Promise<void> => {
    try {
      const portable = portableOfItem(core, item, agent);
      const isSame = "checksum" in portable ? hasChecksum(portable.checksum) : saysTheSame;
      const key = { tenant, id: parseNewId(portable.record.id, "session id") };
      const arrived = await arrive(core, { key, portable }, { isSame, mayReplace: () => replaces, dryRun });
      counts[arrived]++;
      if (arrived !== "present") counts.turns += portable.record.counters.turns;
    } catch (error) {
      if (endsPass(error)) throw error;
      if (isUnreadable(error) && ++unreadable > unreadableMax) throw tooManyUnreadable(item.source);
      skipped.add(item.source, error);
    }
  };
  let count = 0;
  const named = (one: ImportItem | string): NamedItem => {
    const source = `item ${++count}`;
    return typeof one === "string" ? { source, text: one } : { source, ...one };
  };
  const sizeOf = (one: ImportItem | string): number =>
    (typeof one === "string" ? one : "text" in one ? one.text : "").length;
  await inWindows(items, { max: windowMax, sizeOf }, async (window) => {
    await Promise.all(window.map(named).map(bring));
    onProgress?.({ ...counts, ...skipped.report });
  });
  return { ...counts, ...skipped.report };
}

function isUnreadable(error: unknown): boolean {
  return hasCode(error, "snapshot_invalid") || hasCode(error, "message_invalid");
}

function tooManyUnreadable(source: string): SessionError<"snapshot_invalid"> {
  const reason = `is the ${unreadableMax + 1}th item that cannot be read; the import ends here`;
  return new SessionError("snapshot_invalid", { source, path: "the item", reason });
}

/** @throws SessionError `argument_invalid` */
function parsePolicy(onExists: NonNullable<ImportOptions["onExists"]>): typeof onExists {
  return parseOneOf(onExists, "onExists", ["skip", "replace"]);
}

type NamedItem = ImportItem & { readonly source: string };

function portableOfItem(core: Core, item: NamedItem, agent: string | undefined): Portable | ReadSnapshot {
  if ("error" in item) throw item.error;
  if ("text" in item) return readSnapshot(item.text, { source: item.source, limits: core.options.limits });
  return portableConversation(core, item.conversation, agent);
}
