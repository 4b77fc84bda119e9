/** Copies a store into another while writers continue in the first. Each session arrives as one change, and is checked there. */
import { attachmentScopes, isContentScope, isReferenceScope } from "../../domain/attachments/attachment.ts";
import { kindOfRecord, type RecordKinds } from "../../domain/attachments/record-kinds.ts";
import type { StoredDocument } from "../../domain/documents/document.ts";
import { identityOf, type Change } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { internalScope, isInternalScope, tenantOfScope } from "../../domain/values/internal-scope.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import { defined } from "../../domain/values/defined.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { checkedContent, errorOfContent } from "../attachments/carried.ts";
import { objectRemoval } from "../attachments/objects.ts";
import { copyMark, copyRun, isCopy, isCopyOf, isCurrent } from "./copy-mark.ts";
import type { Core } from "../core/core.ts";
import { markCopied } from "../marks/shared-marks.ts";
import { marksScope } from "../marks/mark.ts";
import { eachSession, recordPages } from "./exporting.ts";
import { arrive, isBehind, isIdentical, type ArrivalPolicy, type Arrived } from "./arriving.ts";
import { Skipped, windowMax, type SkippedItem } from "./importing.ts";
import { endsPass } from "../core/pass-failures.ts";
import { loadedWhole, SessionMoved, storedSession, type StoredSession } from "./stored-session.ts";
import { checksumOf, type SessionSource } from "../snapshots/session-source.ts";
import { isLinkCode } from "../devices/link-code.ts";
import { isSecretCheck, secretScope, takeSecretOf } from "../devices/secret-check.ts";
import { inWindows } from "./batches.ts";
import { documentPages, missingOf, putDocuments } from "./copied-documents.ts";

/** Options of a copy. */
export interface CopyOptions {
  /** Copy all tenants, with their devices, and the API keys. @default this tenant, with its devices */
  readonly everything?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CopyProgress) => void;
}

/** The progress of a copy. */
export interface CopyProgress extends CopyReport {
  /** The number of sessions and internal records in the source when the copy began. */
  readonly total: number;
}

/** Documents that the target alone has. */
export interface ExtraDocuments {
  readonly count: number;
  /** The first hundred of them. */
  readonly keys: readonly { readonly tenant: string; readonly scope: string; readonly key: string }[];
}

/** The result of a copy. */
export interface CopyReport {
  /** New in the target: sessions and internal records. */
  readonly restored: number;
  /** The records of `restored` by their kind. */
  readonly restoredKinds: RecordKinds;
  /** Existed in the target already, the very same. */
  readonly present: number;
  /** Existed in an earlier state, and were updated. */
  readonly replaced: number;
  /** Removed in the source during the copy, and so in the target. */
  readonly removed: number;
  /** Documents that were new in the target, or newer than there; absent if none were. */
  readonly documents?: number;
  /**
   * Documents that the target has and the source does not: they were deleted or erased there since an earlier copy, or are the
   * target's own. They stay in the target. Absent if there are none.
   */
  readonly extraDocuments?: ExtraDocuments;
  /** Characters of the snapshots of the written sessions. Each was read back from the target and has the checksum of the source. */
  readonly bytes: number;
  readonly skipped: number;
  /** The reasons for the first hundred of them. */
  readonly reasons: readonly SkippedItem[];
  /**
   * Sessions that an earlier run copied and that the source does not have: they were removed there since, or came from another
   * source. They stay in the target.
   */
  readonly orphaned: number;
  /** The ids of the first hundred of them. */
  readonly orphans: readonly string[];
  /**
   * The id of the secret under which devices of the source are known, where it is not the one of the target: programs find these
   * devices with that secret in `previousSecrets`. Absent: it is the one of the target, or the source has none.
   */
  readonly otherSecret?: string;
  /** The ids of the sessions that still differed at the last comparison, a hundred at most. */
  readonly unsettled: readonly string[];
  /**
   * True where the last comparison of each session found the same in both stores, and none in the target that was removed in the
   * source. False where the signal stopped the copy, where a session was skipped or orphaned, or where the source changed faster
   * than it was copied: then copy again.
   */
  readonly complete: boolean;
}

/** The source is searched again for changes, at most this many times in all. */
const passesMax = 5;
/** A session that changes while it is read is read again, this many times in all; the last time in one load. */
const attemptsMax = 4;

/** The tenant to copy, and the tenant that takes it. */
export interface CopyScope {
  readonly tenant: string;
  readonly into: string;
}

/**
 * Copy, compare every session of both stores, copy those that differ, and so on until none does. A session that was copied earlier
 * is passed over, or updated where the source continued it; another session of the same id is left unchanged.
 * @throws SessionError the store's; the sessions copied by then stay, and another copy continues
 */
export async function copyAll(
  from: Core,
  to: Core,
  { tenant, into, everything = false, signal, onProgress }: CopyOptions & CopyScope,
): Promise<CopyReport> {
  from.guardOpen();
  to.guardOpen();
  const scopes: readonly Scope[] = everything
    ? [{ found: undefined, into: undefined }]
    : [
        { found: tenant, into },
        { found: internalScope(tenant, "devices"), into: internalScope(into, "devices") },
        { found: marksScope(tenant), into: marksScope(into) },
        { found: attachmentScopes(tenant).references, into: attachmentScopes(into).references },
        { found: attachmentScopes(tenant).contents, into: attachmentScopes(into).contents },
        { found: secretScope, into: secretScope },
      ];
  const total = onProgress === undefined ? 0 : await countAll(from, scopes);
  const copying = new Copying(to, { signal, onProgress: onProgress && ((report) => onProgress({ ...report, total })) });
  const run = copyRun(to);
  let changed = 1;
  for (let pass = 1; pass <= passesMax && changed > 0 && !copying.isStopped; pass++) {
    copying.beginPass();
    changed = 0;
    for (const scope of scopes) changed += await copying.take(differing({ from, to, scope, copying, run }));
    for (const scope of scopes) changed += await clear({ from, to, scope, copying, run });
  }
  for await (const page of documentPages(from, everything ? undefined : tenant)) {
    if (copying.isStopped) break;
    await copying.takeDocuments(everything ? page : page.map((document) => ({ ...document, tenant: into })));
  }
  for await (const page of documentPages(to, everything ? undefined : into)) {
    if (copying.isStopped) break;
    copying.extra(await missingOf(from, page, everything ? undefined : tenant));
  }
  return copying.report(changed === 0);
}

/** A scope of the source, and the scope that takes it; undefined: all, each into its own. */
interface Scope {
  readonly found: string | undefined;
  readonly into: string | undefined;
}

interface Pass {
  readonly from: Core;
  readonly to: Core;
  readonly scope: Scope;
  readonly copying: Copying;
  readonly run: string;
}

/** Sessions of the source that the target does not have in their present state. */
async function* differing({ from, to, scope, copying, run }: Pass): AsyncGenerator<Arriving, void, undefined> {
  const keyOf = ({ tenant, id }: SessionKey): SessionKey => ({ tenant: scope.into ?? tenant, id });
  const query = { now: 0, tenant: scope.found };
  const sessions = eachSession(from, query, async (page) => {
    const moving = page.filter((record) => !isLinkCode(record));
    const standing = await found(to, moving.map(keyOf));
    const others = moving.filter((record, index) => {
      const copy = standing[index];
      return copy === undefined || copy instanceof SessionError || !isCurrent(copy, record);
    });
    copying.pass(moving.length - others.length);
    return others;
  });
  const arriving = (source: StoredSession): Arriving => {
    const { stored } = source;
    const key = keyOf(stored);
    // The copy of a fork is whole, so nothing else in the target leads to it from the users whose words it contains.
    const before = (): Promise<void> => markCopied(from, to, stored, { ...stored, ...key });
    return {
      key,
      // The target would have bytes under a hash that is not theirs.
      source: isContentScope(stored.tenant) ? checkedContent(source, tenantOfScope(stored.tenant)) : source,
      ...defined({ before: stored.parent === null ? undefined : before }),
      mark: copyMark(run, stored),
      isEarlier: isEarlierOf(stored, run),
      async again(attempt) {
        try {
          return arriving(await (attempt < attemptsMax ? storedSession : loadedWhole)(from, stored));
        } catch (error) {
          if (hasCode(error, "session_not_found")) return undefined;
          throw error;
        }
      },
    };
  };
  for await (const one of sessions) {
    if ("error" in one) yield { key: keyOf(one.key), error: one.error };
    else yield arriving(one.source);
  }
}

/** True for a copy of this session, or of an earlier session of its id that this run copied. */
function isEarlierOf({ createdAt }: SessionRecord, run: string): (standing: SessionRecord) => boolean {
  return (standing) => isCopyOf(standing, run) || (isCopy(standing) && standing.createdAt === createdAt);
}

/** The records under these keys; the error of one that is damaged, undefined if there is none. */
async function found(
  core: Core,
  keys: readonly SessionKey[],
): Promise<readonly (SessionRecord | SessionError | undefined)[]> {
  const loaded = await core.loadEach(keys.map((key) => ({ key, tails: [] })));
  return loaded.map((one) => (one instanceof SessionError ? one : one?.record));
}

/** Remove from the target the sessions that this run copied and the source no longer has; returns their number. */
async function clear({ from, to, scope, copying, run }: Pass): Promise<number> {
  let removed = 0;
  for await (const { records } of recordPages(to, { now: 0, tenant: scope.into })) {
    if (copying.isStopped) return removed;
    // A store removes expired internal records by itself.
    const copies = records.filter(
      (record) => isCopy(record) && !(isInternalScope(record.tenant) && record.expiresAt <= to.now()),
    );
    const sources = copies.map(({ tenant, id }) => ({ tenant: scope.found ?? tenant, id }));
    const originals = await found(from, sources);
    for (const copy of copies.filter((_, index) => originals[index] === undefined)) {
      if (isCopyOf(copy, run) && copy.forkedAt === 0 && (await removeCopy(to, copy))) removed++;
      else copying.orphan(copy.id);
    }
  }
  copying.removed(removed);
  return removed;
}

/** Remove a copy, also under a legal hold: the source cleared its own before the session was removed there. */
async function removeCopy(to: Core, copy: SessionRecord): Promise<boolean> {
  const key = { tenant: copy.tenant, id: copy.id };
  const change: Change = { key, expected: identityOf(copy), record: null, splices: [], claims: [] };
  const objects = isContentScope(copy.tenant) ? objectRemoval(to, copy) : [];
  return (await to.commit([change, ...objects])).status === "ok";
}

async function countAll(core: Core, scopes: readonly Scope[]): Promise<number> {
  const now = core.now();
  const counts = scopes.map(({ found: tenant }) => core.store.count({ now, ...defined({ tenant }) }));
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

/** A session on its way, or the error that prevented reading it. */
export type Arriving = { readonly key: SessionKey } & (
  | ({
      readonly source: SessionSource;
      /** Called before the session is written. */
      readonly before?: () => Promise<void>;
      /** The session as it is now, for the next attempt, where it changed while its entries were read; undefined if removed. */
      readonly again?: (attempt: number) => Promise<Arriving | undefined>;
    } & Pick<ArrivalPolicy, "mark" | "isEarlier">)
  | { readonly error: SessionError }
);

/** Puts sessions into a store, checks them there, and counts. */
export class Copying {
  readonly #to: Core;
  readonly #signal: AbortSignal | undefined;
  readonly #onProgress: ((report: CopyReport) => void) | undefined;
  readonly #counts = { restored: 0, present: 0, replaced: 0, removed: 0, bytes: 0 };
  readonly #kinds = { sessions: 0, attachments: 0, others: 0 };
  #documents = 0;
  #extra: ExtraDocuments = { count: 0, keys: [] };
  #passes = 0;
  #otherSecret: string | undefined;
  #skipped = new Skipped();
  #orphans = new Listed();
  #unsettled = new Listed();

  constructor(
    to: Core,
    { signal, onProgress }: { signal: AbortSignal | undefined; onProgress: ((report: CopyReport) => void) | undefined },
  ) {
    this.#to = to;
    this.#signal = signal;
    this.#onProgress = onProgress;
  }

  get isStopped(): boolean {
    return this.#signal?.aborted === true;
  }

  /** `isSettled`: the last pass changed nothing. */
  report(isSettled: boolean): CopyReport {
    const skipped = this.#skipped.report;
    return {
      ...this.#counts,
      restoredKinds: { ...this.#kinds },
      ...defined({
        documents: this.#documents === 0 ? undefined : this.#documents,
        extraDocuments: this.#extra.count === 0 ? undefined : this.#extra,
      }),
      ...skipped,
      orphaned: this.#orphans.count,
      orphans: this.#orphans.ids,
      ...defined({ otherSecret: this.#otherSecret }),
      unsettled: isSettled ? [] : this.#unsettled.ids,
      complete: isSettled && !this.isStopped && skipped.skipped === 0 && this.#orphans.count === 0,
    };
  }

  /** Begin a pass over all sessions. */
  beginPass(): void {
    this.#passes++;
    this.#skipped = new Skipped();
    this.#orphans = new Listed();
    this.#unsettled = new Listed();
  }

  /** Count sessions that the target has in their present state. */
  pass(count: number): void {
    if (this.#passes <= 1) this.#counts.present += count;
  }

  removed(count: number): void {
    this.#counts.removed += count;
  }

  orphan(id: string): void {
    this.#orphans.add(id);
  }

  /** Documents that the target alone has. */
  extra(found: ExtraDocuments["keys"]): void {
    const { count, keys } = this.#extra;
    this.#extra = { count: count + found.length, keys: [...keys, ...found].slice(0, 100) };
  }

  /** Take documents. One that the target has, in this or a newer version, stays. */
  async takeDocuments(documents: readonly StoredDocument[]): Promise<void> {
    this.#documents += await putDocuments(this.#to, documents);
  }

  /** Take sessions until the signal; returns the number of new or changed ones. */
  async take(sessions: AsyncIterable<Arriving>): Promise<number> {
    let changed = 0;
    await inWindows(this.#untilStopped(sessions), { max: windowMax, sizeOf }, async (window) => {
      const all = await Promise.all(window.map((one) => this.#takeOne(one)));
      changed += all.filter((arrived) => arrived !== "present").length;
      this.#onProgress?.(this.report(false));
    });
    return changed;
  }

  async *#untilStopped(sessions: AsyncIterable<Arriving>): AsyncGenerator<Arriving, void, undefined> {
    for await (const session of sessions) {
      if (this.isStopped) return;
      yield session;
    }
  }

  async #takeOne(session: Arriving): Promise<Arrived> {
    try {
      // The devices of the target are those of its own secret.
      if (isSecretCheck(session.key) && (await this.#to.find(session.key)) !== undefined) {
        if ("source" in session) this.#otherSecret = await takeSecretOf(this.#to, session.source.record.metadata);
        return "present";
      }
      const copied = await this.#copied(session);
      // A session that was removed meanwhile is cleared from the target after the others.
      if (copied === undefined) return "present";
      const { arrived, bytes } = copied;
      if (arrived === "present") {
        this.pass(1);
        return arrived;
      }
      this.#counts[arrived]++;
      if (arrived === "restored") this.#kinds[kindOfRecord(session.key.tenant)]++;
      this.#counts.bytes += bytes;
      this.#unsettled.add(session.key.id);
      return arrived;
    } catch (error) {
      if (endsPass(error)) throw error;
      const { tenant, id } = session.key;
      this.#skipped.add(isContentScope(tenant) ? `attachment ${id}` : id, errorOfContent(session.key, error));
      return "present";
    }
  }

  /** Undefined for a session that the source no longer has. */
  async #copied(first: Arriving): Promise<{ readonly arrived: Copied; readonly bytes: number } | undefined> {
    let session: Arriving | undefined = first;
    for (let attempt = 1; session !== undefined; attempt++) {
      if ("error" in session) throw session.error;
      try {
        await session.before?.();
        return await copySession(this.#to, session);
      } catch (error) {
        if (!(error instanceof SessionMoved)) throw error;
        const { id: sessionId, tenant } = session.key;
        if (session.again === undefined || attempt >= attemptsMax)
          throw new SessionError("contended", { sessionId, tenant, attempts: attempt }, { cause: error });
        session = await session.again(attempt + 1);
      }
    }
    return undefined;
  }
}

/** Ids, of which the first hundred are kept. */
class Listed {
  count = 0;
  readonly ids: string[] = [];

  add(id: string): void {
    this.count++;
    if (this.ids.length < 100) this.ids.push(id);
  }
}

/** The fate of a copied session: a grown one is replaced as a whole. */
type Copied = Exclude<Arrived, "grown">;

/** @throws SessionError `session_exists`, `conflict` where it changed in the target before it could be checked */
async function copySession(
  to: Core,
  { key, source, mark, isEarlier }: Extract<Arriving, { source: SessionSource }>,
): Promise<{ readonly arrived: Copied; readonly bytes: number }> {
  const { arrived: fate, session } = await arrive(
    to,
    { key, source },
    {
      async fateBeside(existing, arriving) {
        // The ids of contents and references say what they are.
        const isNamed = isContentScope(key.tenant) || isReferenceScope(key.tenant);
        if (isNamed || (await isIdentical(existing, arriving))) return "present";
        return (await isBehind(existing, arriving)) ? "replaced" : undefined;
      },
      isCopy: true,
      dryRun: false,
      ...defined({ isEarlier, mark }),
    },
  );
  const arrived = fate === "grown" ? "replaced" : fate;
  if (session === undefined) return { arrived, bytes: 0 };
  if (!(await isThere(to, key, session.checksum))) {
    const { turns } = source.record.counters;
    throw new SessionError("conflict", { sessionId: key.id, tenant: key.tenant, seenTurn: turns, storedTurn: turns });
  }
  return { arrived, bytes: session.length };
}

/** True where the store has the session with this checksum. */
async function isThere(core: Core, key: SessionKey, checksum: string): Promise<boolean> {
  try {
    return (await checksumOf(await storedSession(core, key))).checksum === checksum;
  } catch (error) {
    if (error instanceof SessionMoved || hasCode(error, "session_not_found")) return false;
    throw error;
  }
}

function sizeOf(session: Arriving): number {
  if ("error" in session) return 0;
  const { inMemory } = session.source;
  // A large session is under way alone.
  if (inMemory === undefined) return Infinity;
  let size = 0;
  for (const entries of inMemory.logs.values()) for (const { data } of entries) size += data.length;
  return size;
}
