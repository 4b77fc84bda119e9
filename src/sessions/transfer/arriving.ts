/** The arrival of one session that comes from elsewhere: beside what stands under its key, and never twice. */
import type { Entry, SessionKey } from "../../domain/record/entry.ts";
import { encode } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { keepMetadata } from "../../domain/record/lifecycle.ts";
import type { Metadata, SessionRecord } from "../../domain/record/record.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { ArrivingLogs } from "../core/staged-logs.ts";
import { checksumOf, turnsOf, type SessionSource } from "../snapshots/session-source.ts";
import type { ReadSnapshot } from "../snapshots/snapshot-reader.ts";
import { digestOf, type Digest } from "./comparison.ts";
import type { Merge } from "./merge.ts";
import { mergedSession } from "./merged-session.ts";
import { arrived, replaceable, restoredSession, standing, type ArrivedSession } from "./snapshots.ts";
import { SessionMoved, storedSession, type StoredSession } from "./stored-session.ts";

/** A session that comes from elsewhere. */
export interface Arrival {
  readonly key: SessionKey;
  readonly source: SessionSource;
}

/** The fate of a session: `present` where the same session exists, `grown` where its new turns were added to it. */
export type Arrived = "restored" | "present" | "replaced" | "grown";

/** The fate of a session beside another one; what both are together where that has grown. Undefined where it may not be replaced. */
export type Fate = "present" | "replaced" | Merge | undefined;

/** How to treat another session with the same key. */
export interface ArrivalPolicy {
  readonly fateBeside: (existing: StoredSession, arriving: SessionSource) => Promise<Fate>;
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
 * Puts one session where it belongs, unless it is there.
 * @returns its fate, the session where one was written, and the merge of a grown one
 * @throws SessionError `session_exists` where another session exists that may not be replaced, `busy`, `contended`, the store's
 */
export async function arrive(
  core: Core,
  arrival: Arrival,
  policy: ArrivalPolicy,
): Promise<{
  readonly arrived: Arrived;
  readonly session?: ArrivedSession | undefined;
  readonly merge?: Merge;
}> {
  const { key, source } = arrival;
  await core.learnTime();
  await using arriving = new ArrivingLogs(core, key, source.record.user);
  let session: ArrivedSession | undefined;
  // Most sessions are new and written at once; an existing one is found on the way. A large one is not staged in vain.
  let found = policy.dryRun || source.inMemory === undefined ? (await core.find(key))?.record : undefined;
  return await retryOnConflict({ sessionId: key.id, tenant: key.tenant, attemptsMax }, async () => {
    const isEarlier = found !== undefined && policy.isEarlier?.(found) === true;
    const judged: Judged = found === undefined ? "restored" : await judge(core, arrival, { ...policy, isEarlier });
    if (judged === "moved") {
      found = (await core.find(key))?.record;
      return undefined;
    }
    const grown = typeof judged === "object" ? judged : undefined;
    const fate = grown === undefined ? (judged as Arrived) : "grown";
    const merge = defined({ merge: grown?.merge });
    if (fate === "present" || policy.dryRun) return { arrived: fate, ...merge };
    const isLater = isEarlier || grown !== undefined;
    const replaced = found && (await replaceable(core, found, { isLater }));
    // A session that has grown is read again at each attempt: its writers go on.
    await using growing = grown && new ArrivingLogs(core, key, source.record.user);
    const next =
      grown === undefined
        ? (session ??= await arrived(core, key, { arriving, source }))
        : await unlessMoved(grown.existing, async () => {
            const merged = await mergedSession({ ...grown, arriving: source, now: core.now() });
            return await arrived(core, key, { arriving: growing!, source: merged });
          });
    if (next === undefined) {
      found = (await core.find(key))?.record;
      return undefined;
    }
    const place = { key, found: replaced, isLater, ...defined({ isCopy: policy.isCopy }) };
    const outcome = await core.commit(await restoredSession(core, next, place), policy.mark);
    if (outcome.status === "ok") {
      (growing ?? arriving).taken();
      return { arrived: fate, session: next, ...merge };
    }
    found = await standing(core, key, outcome);
    return undefined;
  });
}

/** The digest of the session under a key; undefined where there is none. @throws SessionError `contended`, the store's */
export async function standingDigest(core: Core, key: SessionKey): Promise<Digest | undefined> {
  const { digest } = await retryOnConflict({ sessionId: key.id, tenant: key.tenant, attemptsMax }, async () => {
    let existing: StoredSession;
    try {
      existing = await storedSession(core, key);
    } catch (error) {
      if (hasCode(error, "session_not_found")) return {}; // it was removed meanwhile
      throw error;
    }
    return await unlessMoved(existing, async (): Promise<{ readonly digest?: Digest }> => {
      return { digest: await digestOf(existing) };
    });
  });
  return digest;
}

/** The fate of an arriving session, the existing one where it has grown, or `moved` where that changed meanwhile. */
type Judged = Exclude<Arrived, "grown"> | "moved" | Grown;

/** A session that has grown. */
interface Grown {
  readonly merge: Merge;
  readonly existing: StoredSession;
  readonly metadata: Metadata;
}

/** The fate beside the existing session. @throws SessionError `session_exists`, `metadata_too_large` of a grown one */
async function judge(
  core: Core,
  { key, source }: Arrival,
  policy: Omit<ArrivalPolicy, "isEarlier"> & { readonly isEarlier: boolean },
): Promise<Judged> {
  let existing: StoredSession;
  try {
    existing = await storedSession(core, key);
  } catch (error) {
    if (hasCode(error, "session_not_found")) return "restored"; // it was removed meanwhile
    throw error;
  }
  const judged = await unlessMoved(existing, async (): Promise<Judged | "other"> => {
    const fate = await policy.fateBeside(existing, source);
    if (fate === "present") return fate;
    if (policy.isEarlier) return "replaced";
    if (typeof fate !== "object") return fate ?? "other";
    return { merge: fate, existing, metadata: mergedMetadata(core, existing, source) };
  });
  if (judged === "other")
    throw new SessionError("session_exists", { ...sessionIds(existing.stored), problem: "differs" });
  return judged ?? "moved";
}

/** The result of reading an existing session; undefined where that changed meanwhile. */
async function unlessMoved<Result>(existing: StoredSession, read: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof SessionMoved && error.session === existing.stored) return undefined;
    throw error;
  }
}

/** The metadata of a grown session: a field of the arriving one replaces that of its name. @throws SessionError `metadata_too_large` */
function mergedMetadata(core: Core, { stored }: StoredSession, { record }: SessionSource): Metadata {
  return keepMetadata(stored, { ...stored.metadata, ...record.metadata }, core.context());
}
