/** Imports many sessions: each as one change, many changes in a commit, and none of them twice. */
import type { Entry, SessionKey } from "../../domain/record/entry.ts";
import { encode } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { portableConversation, type Conversation } from "./conversation.ts";
import { codeOfFailure, endsPass, messageOfFailure } from "../core/pass-failures.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { ArrivingLogs } from "../core/staged-logs.ts";
import { checksumOf, sourceOf, turnsOf, type SessionSource } from "../snapshots/session-source.ts";
import { readSnapshot, type ReadSnapshot } from "../snapshots/snapshot-reader.ts";
import { arrived, replaceable, restoredSession, standing, type ArrivedSession } from "./snapshots.ts";
import { SessionMoved, storedSession, type StoredSession } from "./stored-session.ts";
import { inWindows, type WindowMax } from "./batches.ts";
import { parseOneOf } from "../options/arguments.ts";

/** A session that comes from elsewhere. */
export interface Arrival {
  readonly key: SessionKey;
  readonly source: SessionSource;
}

/** The fate of a session: `present` where the very same session exists. */
export type Arrived = "restored" | "present" | "replaced";

/** How to treat another session with the same key. */
export interface ArrivalPolicy {
  /** True where the existing session counts as the same. */
  readonly isSame: (existing: SessionSource, arriving: SessionSource) => Promise<boolean>;
  /** True where the arriving session replaces the existing one. */
  readonly mayReplace: (existing: SessionSource, arriving: SessionSource) => Promise<boolean>;
  /** True for the record of an earlier state of the arriving session, which replaces it, also under a legal hold. */
  readonly isEarlier?: (existing: SessionRecord) => boolean;
  /** True for sessions of a copied store, whose retention goes on. @default false */
  readonly isCopy?: boolean;
  /** The commit id of the written record. @default the commit's own */
  readonly mark?: string;
  /** Only report what would happen. */
  readonly dryRun: boolean;
}

/** The existing session may change this often while it is compared. */
const attemptsMax = 20;

/** True for the same session, byte for byte. Of sessions with other headers no log is read. */
export async function isIdentical(existing: SessionSource, arriving: SessionSource | ReadSnapshot): Promise<boolean> {
  if (encode(existing.record) !== encode(arriving.record)) return false;
  const { checksum } = "checksum" in arriving ? arriving : await checksumOf(arriving);
  return (await checksumOf(existing)).checksum === checksum;
}

/** True for the same messages, whatever their times. */
export async function saysTheSame(existing: SessionSource, arriving: SessionSource): Promise<boolean> {
  const [one, other] = [existing, arriving].map(({ record }) => record.counters.turns);
  return one === other && (await continues(existing, arriving, (turn, later) => turn.data === later.data));
}

/** True where the existing session is a beginning of the arriving one: an earlier copy, which the other has continued. */
export async function isBehind(existing: SessionSource, arriving: SessionSource): Promise<boolean> {
  const { lastActivityAt, openTurn } = existing.record;
  if (lastActivityAt > arriving.record.lastActivityAt) return false;
  // The open turn, which is the last one, was in progress.
  return await continues(
    existing,
    arriving,
    (turn, later) => turn.seq === openTurn || (turn.data === later.data && turn.key === later.key),
  );
}

/** True where each turn of one session agrees with the turn of the same number in the other one. */
async function continues(
  one: SessionSource,
  other: SessionSource,
  agrees: (turn: Entry, later: Entry) => boolean,
): Promise<boolean> {
  const later = turnsOf(other);
  try {
    for await (const turn of turnsOf(one)) {
      const next = await later.next();
      if (next.done === true || !agrees(turn, next.value)) return false;
    }
    return true;
  } finally {
    await later.return();
  }
}

/**
 * Put one session where it belongs, unless it is there.
 * @throws SessionError `session_exists` where another session exists that may not be replaced, `busy`, `contended`, the store's
 */
export async function arrive(
  core: Core,
  arrival: Arrival,
  policy: ArrivalPolicy,
): Promise<{ readonly arrived: Arrived; readonly session?: ArrivedSession | undefined }> {
  const { key, source } = arrival;
  await core.learnTime();
  await using arriving = new ArrivingLogs(core, key, source.record.user);
  let session: ArrivedSession | undefined;
  // Most sessions are new and written at once; an existing one is found on the way. A large one is not staged in vain.
  let found = policy.dryRun || source.inMemory === undefined ? (await core.find(key))?.record : undefined;
  return await retryOnConflict({ sessionId: key.id, tenant: key.tenant, attemptsMax }, async () => {
    const isLater = found !== undefined && policy.isEarlier?.(found) === true;
    const fate = found === undefined ? "restored" : await judge(core, arrival, { ...policy, isLater });
    if (fate === "moved") {
      found = (await core.find(key))?.record;
      return undefined;
    }
    if (fate === "present" || policy.dryRun) return { arrived: fate };
    const replaced = found && (await replaceable(core, found, { isLater }));
    session ??= await arrived(arriving, source);
    const changes = await restoredSession(core, session, {
      key,
      found: replaced,
      isLater,
      ...defined({ isCopy: policy.isCopy }),
    });
    const outcome = await core.commit(changes, policy.mark);
    if (outcome.status === "ok") {
      arriving.taken();
      return { arrived: fate, session };
    }
    found = await standing(core, key, outcome);
    return undefined;
  });
}

/** The fate beside the existing session; `moved` where that changed meanwhile. @throws SessionError `session_exists` */
async function judge(
  core: Core,
  { key, source }: Arrival,
  policy: ArrivalPolicy & { readonly isLater: boolean },
): Promise<Arrived | "moved"> {
  let existing: StoredSession;
  try {
    existing = await storedSession(core, key);
  } catch (error) {
    if (hasCode(error, "session_not_found")) return "restored"; // it was removed meanwhile
    throw error;
  }
  try {
    if (await policy.isSame(existing, source)) return "present";
    if (policy.isLater || (await policy.mayReplace(existing, source))) return "replaced";
  } catch (error) {
    if (error instanceof SessionMoved && error.session === existing.stored) return "moved";
    throw error;
  }
  throw new SessionError("session_exists", sessionIds(existing.stored));
}

/**
 * An item to import: the text of a snapshot, a conversation of another program, or the error that prevented reading it. `source` is
 * its name in the report.
 */
export type ImportItem =
  | { readonly source?: string; readonly text: string }
  | { readonly source: string; readonly conversation: Conversation }
  | { readonly source: string; readonly error: SessionError };

/** How to import. */
export interface ImportOptions {
  /** Only report what would happen. @default false */
  readonly dryRun?: boolean;
  /** How to treat a session that exists: leave it, or replace it. @default "skip" */
  readonly onExists?: "skip" | "replace";
  /** The agent of conversations without one. @default as for a new session */
  readonly agent?: string;
  /** Called after each commit. */
  readonly onProgress?: (report: ImportReport) => void;
}

/** The result of an import, or of its dry run. */
export interface ImportReport {
  readonly restored: number;
  /** Existed already, the very same. */
  readonly present: number;
  readonly replaced: number;
  /** Turns of the restored and replaced sessions. */
  readonly turns: number;
  /** Parts of messages that no model is sent, such as sources and reasoning: they are kept beside the content. */
  readonly aside: number;
  readonly skipped: number;
  /** The reasons for the first hundred of them. */
  readonly reasons: readonly SkippedItem[];
}

/** An item that was not imported, and the reason. */
export interface SkippedItem {
  readonly source: string;
  readonly code: string;
  readonly message: string;
}

/** The sessions, or the characters of their texts, that are under way at the same time. */
export const windowMax: WindowMax = { count: 64, size: 1024 * 1024 };
const reasonsMax = 100;
/** A file with more items that cannot be read is no file of sessions, and the import ends. */
const unreadableMax = 10_000;

/** Counts the items that were left out, and keeps the first reasons. */
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
 * Import items in bounded memory. An item that fails is in the report, and the import continues with the others.
 * @throws SessionError the store's, where it fails, and `snapshot_invalid` where more than {@link unreadableMax} items
 *   cannot be read; what was imported by then stays, and importing again continues
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
  const counts = { restored: 0, present: 0, replaced: 0, turns: 0, aside: 0 };
  const skipped = new Skipped();
  let unreadable = 0;
  /** Undefined where it was imported. */
  const failureOf = async (item: NamedItem): Promise<{ readonly error: unknown } | undefined> => {
    try {
      const source = await sourceOfItem(core, item, agent);
      const isSame = "checksum" in source ? isIdentical : saysTheSame;
      const key = { tenant, id: parseNewId(source.record.id, "sessionId") };
      const mayReplace = async (): Promise<boolean> => replaces;
      const { arrived: fate } = await arrive(core, { key, source }, { isSame, mayReplace, dryRun });
      counts[fate]++;
      if (fate === "present") return undefined;
      counts.turns += source.record.counters.turns;
      if ("conversation" in item) counts.aside += item.conversation.aside ?? 0;
      return undefined;
    } catch (error) {
      if (endsPass(error)) throw error;
      if (isUnreadable(error) && ++unreadable > unreadableMax) throw tooManyUnreadable(item.source);
      return { error };
    }
  };
  let count = 0;
  const named = (one: ImportItem | string): NamedItem => {
    const source = `item ${++count}`;
    if (typeof one === "string") return { source, text: one };
    if (isItem(one)) return { source, ...one };
    return { source, error: invalidArgument(source, one, { expected: "conversation" }) };
  };
  const sizeOf = (one: ImportItem | string): number => {
    if (typeof one === "string") return one.length;
    return isItem(one) && "text" in one ? one.text.length : 0;
  };
  await inWindows(items, { max: windowMax, sizeOf }, async (window) => {
    const taken = window.map(named);
    const failures = await Promise.all(taken.map(failureOf));
    failures.forEach((failure, index) => failure && skipped.add(taken[index]?.source ?? "", failure.error));
    onProgress?.({ ...counts, ...skipped.report });
  });
  return { ...counts, ...skipped.report };
}

/** Callers without types pass anything. */
function isItem(one: unknown): one is ImportItem {
  if (typeof one !== "object" || one === null) return false;
  const { text, conversation, error } = one as { readonly [Field in "text" | "conversation" | "error"]?: unknown };
  return typeof text === "string" || (typeof conversation === "object" && conversation !== null) || error !== undefined;
}

function isUnreadable(error: unknown): boolean {
  return hasCode(error, "snapshot_invalid") || hasCode(error, "message_invalid");
}

function tooManyUnreadable(source: string): SessionError<"snapshot_invalid"> {
  return new SessionError("snapshot_invalid", {
    source,
    path: "the import",
    expected: "readable_items",
    max: unreadableMax,
  });
}

/** @throws SessionError `argument_invalid` */
function parsePolicy(onExists: NonNullable<ImportOptions["onExists"]>): typeof onExists {
  return parseOneOf(onExists, "onExists", ["skip", "replace"]);
}

type NamedItem = ImportItem & { readonly source: string };

async function sourceOfItem(
  core: Core,
  item: NamedItem,
  agent: string | undefined,
): Promise<SessionSource | ReadSnapshot> {
  if ("error" in item) throw item.error;
  if ("text" in item) return await readSnapshot(item.text, { source: item.source, limits: core.options.limits });
  return sourceOf(portableConversation(core, item.conversation, agent));
}
