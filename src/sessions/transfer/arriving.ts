/** The arrival of one session that comes from elsewhere: beside what stands under its key, and never twice. */
import { attachmentsLog } from "../../domain/attachments/attachment.ts";
import type { Entry, LogName, SessionKey } from "../../domain/record/entry.ts";
import { countAmended, countBegun, countSealed } from "../../domain/turns/counters.ts";
import { entryOfTurn, messagesBefore, resumeOf, turnOf } from "../../domain/turns/turn.ts";
import { encode } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { keepMetadata } from "../../domain/record/lifecycle.ts";
import type { Metadata, SessionRecord } from "../../domain/record/record.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { ArrivingLogs } from "../core/staged-logs.ts";
import { checksumOf, turnsOf, type LoggedEntry, type SessionSource } from "../snapshots/session-source.ts";
import type { ReadSnapshot } from "../snapshots/snapshot-reader.ts";
import { replacesTurn } from "./comparison.ts";
import { arrived, replaceable, restoredSession, standing, type ArrivedSession } from "./snapshots.ts";
import { SessionMoved, storedSession, type StoredSession } from "./stored-session.ts";

/** A session that comes from elsewhere. */
export interface Arrival {
  readonly key: SessionKey;
  readonly source: SessionSource;
}

/** The fate of a session: `present` where the same session exists, `grown` where its new turns were added to it. */
export type Arrived = "restored" | "present" | "replaced" | "grown";

/** How to treat another session with the same key. */
export interface ArrivalPolicy {
  /** The fate beside the existing session; undefined where that may not be replaced. */
  readonly fateBeside: (
    existing: StoredSession,
    arriving: SessionSource,
  ) => Promise<Exclude<Arrived, "restored"> | undefined>;
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
 * @returns its fate, the session where one was written, and the turns that a grown session had before
 * @throws SessionError `session_exists` where another session exists that may not be replaced, `busy`, `contended`, the store's
 */
export async function arrive(
  core: Core,
  arrival: Arrival,
  policy: ArrivalPolicy,
): Promise<{
  readonly arrived: Arrived;
  readonly session?: ArrivedSession | undefined;
  readonly turnsBefore?: number;
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
    const grown = typeof judged === "object" ? judged.existing : undefined;
    const fate = grown === undefined ? (judged as Arrived) : "grown";
    const before = defined({ turnsBefore: grown?.record.counters.turns });
    if (fate === "present" || policy.dryRun) return { arrived: fate, ...before };
    const isLater = isEarlier || grown !== undefined;
    const replaced = found && (await replaceable(core, found, { isLater }));
    // A session that has grown is read again at each attempt: its writers go on.
    await using growing = grown && new ArrivingLogs(core, key, source.record.user);
    const next =
      grown === undefined
        ? (session ??= await arrived(core, key, { arriving, source }))
        : await unlessMoved(grown, async () => {
            const merged = await withNewTurns(core, grown, source);
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
      return { arrived: fate, session: next, ...before };
    }
    found = await standing(core, key, outcome);
    return undefined;
  });
}

/** The fate of an arriving session, the existing one where it has grown, or `moved` where that changed meanwhile. */
type Judged = Exclude<Arrived, "grown"> | "moved" | { readonly existing: StoredSession };

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
    if (fate !== "grown") return fate ?? "other";
    mergedMetadata(core, existing, source);
    return { existing };
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

/** The existing session with the turns of the arriving one that its own do not have, in words or in form. */
async function withNewTurns(core: Core, existing: StoredSession, arriving: SessionSource): Promise<SessionSource> {
  const { counters: before, lastActivityAt } = existing.record;
  const later = turnsOf(arriving);
  const replaced = new Map<number, Entry>();
  let count = 0;
  // The two may count other messages: an export makes results of open calls.
  const placed = (entry: Entry): Entry => {
    const turn = turnOf(entry);
    const isPlaced = messagesBefore(entry) === count;
    const result = isPlaced ? entry : entryOfTurn(turn, count, resumeOf(entry));
    count += turn.input.length + turn.output.length;
    return result;
  };
  let counters = before;
  for await (const turn of turnsOf(existing)) {
    const next = await later.next();
    const entry = placed(next.done !== true && replacesTurn(turn, next.value) ? next.value : turn);
    if (entry === turn) continue;
    replaced.set(turn.seq, entry);
    counters = countAmended(counters, turnOf(turn), turnOf(entry));
  }
  const added: LoggedEntry[] = [];
  for await (const turn of later) {
    const entry = placed(turn);
    added.push({ log: "turns", entry });
    counters = countSealed(countBegun(counters, turnOf(entry)), turnOf(entry));
  }
  return {
    record: {
      ...existing.record,
      counters,
      metadata: mergedMetadata(core, existing, arriving),
      lastActivityAt: Math.max(lastActivityAt, arriving.record.lastActivityAt),
    },
    inMemory: undefined,
    entries: async function* () {
      yield* attachmentsIn(arriving);
      // The entries of one log stand together.
      let isAdded = false;
      let log: LogName | undefined;
      for await (const logged of existing.entries()) {
        if (!isAdded && log === "turns" && logged.log !== log) {
          isAdded = true;
          yield* added;
        }
        ({ log } = logged);
        const entry = log === "turns" ? replaced.get(logged.entry.seq) : undefined;
        yield entry === undefined ? logged : { log, entry };
      }
      if (!isAdded) yield* added;
    },
  };
}

/** The attachments of a source, which are put for the session on the way. */
async function* attachmentsIn({ inMemory, entries }: SessionSource): AsyncGenerator<LoggedEntry, void, undefined> {
  if (inMemory?.logs.has(attachmentsLog) === false) return;
  for await (const logged of entries()) if (logged.log === attachmentsLog) yield logged;
}

/** The metadata of a grown session: a field of the arriving one replaces that of its name. @throws SessionError `metadata_too_large` */
function mergedMetadata(core: Core, { stored }: StoredSession, { record }: SessionSource): Metadata {
  return keepMetadata(stored, { ...stored.metadata, ...record.metadata }, core.context());
}
