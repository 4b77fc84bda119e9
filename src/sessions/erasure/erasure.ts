/**
 * Erases a user. A progress record in the store counts the deleted records, in one transaction with their deletion: the next run
 * continues an erasure that was killed, and two runs at once count each record once.
 *
 * States of the progress record:
 * - absent: no erasure ran, or its record expired.
 * - running (`receipt` is null): passes delete what they find, until a look finds nothing but sessions under legal hold.
 * - finished (`receipt` is set, after the scrub of the files): a later run returns the receipt, or begins again where it finds
 *   new data of the user.
 */
import type { Change } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { Metadata, SessionRecord } from "../../domain/record/record.ts";
import { internalScope } from "../../domain/values/internal-scope.ts";
import { hasCode } from "../../errors.ts";
import { isDevicePointer, renamedTo } from "../devices/device-pointer.ts";
import type { Settled } from "../../store/store.ts";
import { currentReceipt, signReceipt, type ErasureReceipt } from "./erasure-receipt.ts";
import { deleteRemovedObjects, guardAttachmentStore } from "../attachments/objects.ts";
import { removalChanges } from "../attachments/removal.ts";
import { detachForks } from "../handle/detach-forks.ts";
import { Handle } from "../handle/handle.ts";
import { internalChange, liveMetadata } from "../core/internal-record.ts";
import { linkCodesOf } from "../devices/link-code.ts";
import { endsPass } from "../core/pass-failures.ts";
import { forksContaining } from "../marks/marked-forks.ts";
import { ownTurnsOf } from "../marks/turn-owners.ts";
import type { UserContent } from "../marks/mark.ts";
import { retryOnConflict, type Retry } from "../core/retry-on-conflict.ts";
import { markedSession, markFork, marksOf, namesOf, type SharedForks } from "./shared-forks.ts";
import { sharePages } from "../shares/share-record.ts";
import { streamPages } from "../handle/session-streams.ts";
import { devicePages, sessionPages, stagedPages, subjectOf, waitingOf, waitingPages, type Subject } from "./subject.ts";
import { counted, nothing, withAttachments, type Kind, type Progress } from "./progress.ts";
import { countReferences, type References } from "./references.ts";

/** The user or the guest to erase, one of them, and how. */
export interface ErasureRequest {
  readonly user?: string;
  /** The UUID of a device that speaks for no user. It leaves a session that it shares. */
  readonly device?: string;
  /** The name of the store in the receipt. @default none */
  readonly store?: string;
  /**
   * Forks of the user's sessions that belong to other users, and forks of those. `keep`: they keep the shared turns as copies of
   * their own, and the receipt names them. `erase`: they are deleted whole, with the words of other users in them. A fork under
   * legal hold is kept in both cases.
   * @default "keep"
   */
  readonly forks?: "keep" | "erase";
  /** Stops the erasure between batches; another run continues it. */
  readonly signal?: AbortSignal;
}

/** Records that one transaction deletes. */
const batchSize = 20;
const documentsAtOnce = 100;
/** Tries of a commit against concurrent writers, and passes while new data of the user appears. */
const attemptsMax = 50;
/** Time to live of the progress of a run that is not continued, and of a receipt. */
const progressTtlMs = 365 * 86_400_000;
const receiptTtlMs = 30 * 86_400_000;

/** One run of the erasure of a user. */
export class Erasure {
  readonly #subject: Subject;
  readonly #request: ErasureRequest;
  readonly #key: SessionKey;
  readonly #retry: Retry;
  #found: SessionRecord | undefined;
  #progress: Progress | undefined;
  /** This run has deleted documents, whose text is in the files until their scrub. */
  #hasDeleted = false;

  /** @throws SessionError `secret_missing` */
  constructor(subject: Subject, request: ErasureRequest) {
    this.#subject = subject;
    this.#request = request;
    this.#key = { tenant: internalScope(subject.tenant, "erasures"), id: subjectOf(subject) };
    this.#retry = { sessionId: this.#key.id, tenant: this.#key.tenant, attemptsMax };
  }

  /** @throws SessionError `contended` where new data of the user keeps appearing, and the store's */
  async run(): Promise<ErasureReceipt> {
    // Where the bytes cannot be deleted, nothing is removed that names them.
    await guardAttachmentStore(this.#subject.core, this.#subject.tenant);
    await this.#load();
    return await retryOnConflict(this.#retry, async () => {
      await this.#eraseDocuments();
      let references: References | undefined;
      let failure: unknown;
      try {
        references = await countReferences(this.#subject);
      } catch (error) {
        if (endsPass(error)) throw error;
        failure = error;
      }
      if (references !== undefined && this.#isDone(references)) return await this.#finish(references);
      await this.#pass();
      // A session that cannot be read does not prevent the deletion of the others.
      if (references === undefined) throw failure;
      return undefined;
    });
  }

  async #load(): Promise<void> {
    const { core } = this.#subject;
    this.#know((await core.find(this.#key))?.record);
  }

  #know(found: SessionRecord | undefined): void {
    this.#found = found;
    this.#progress = liveMetadata(this.#subject.core, found) as Progress | undefined;
  }

  /** The stored progress; after a receipt, the progress of a new erasure. */
  #underWay(): Progress {
    const known = this.#progress;
    if (known !== undefined && known.receipt === null) return known;
    return { startedAt: this.#subject.core.now(), erased: nothing, hash: "", receipt: null };
  }

  /** Deletes what one look finds. @throws the first error of a session, once all others are deleted */
  async #pass(): Promise<void> {
    const failures: unknown[] = [];
    const tolerantly: Tolerantly = async (work) => {
      try {
        await work();
        return true;
      } catch (error) {
        if (endsPass(error)) throw error;
        failures.push(error);
        return false;
      }
    };
    await tolerantly(() => this.#eraseOutbox());
    await tolerantly(() => this.#eraseStaged());
    let isMarkedDone = true;
    const marks = await tolerantly(async () => {
      const names = await namesOf(this.#subject);
      for await (const { mark, isPlain } of marksOf(this.#subject, names))
        isMarkedDone = (await tolerantly(() => this.#eraseMarked(names, mark, isPlain))) && isMarkedDone;
    });
    await tolerantly(() => this.#eraseDevices(tolerantly, marks && isMarkedDone));
    await tolerantly(() => this.#eraseSessions(tolerantly));
    if (failures.length > 0) throw failures[0];
  }

  /** Deletes the user's documents, of which nothing stays, and counts them. After a crash the count may lack the last ones. */
  async #eraseDocuments(): Promise<void> {
    const { core, tenant, user, isGuest } = this.#subject;
    if (isGuest) return;
    for (let deleted = documentsAtOnce; deleted === documentsAtOnce;) {
      this.#request.signal?.throwIfAborted();
      deleted = await core.store.deleteDocuments({ tenant, user, limit: documentsAtOnce });
      if (deleted === 0) return;
      this.#hasDeleted = true;
      const count = deleted;
      await this.#note(({ erased, ...progress }) => ({
        ...progress,
        erased: { ...erased, documents: (erased.documents ?? 0) + count },
      }));
    }
  }

  /** Stores what this run deleted outside of a commit. */
  async #note(change: (progress: Progress) => Progress): Promise<void> {
    await retryOnConflict(this.#retry, async () => {
      const outcome = await this.#subject.core.commit([this.#noted(change(this.#underWay()), progressTtlMs)]);
      await this.#load();
      return outcome.status === "ok" ? true : undefined;
    });
  }

  async #eraseOutbox(): Promise<void> {
    for await (const page of waitingPages(this.#subject)) await this.#forgetWaiting(page);
  }

  async #eraseStaged(): Promise<void> {
    for await (const page of stagedPages(this.#subject)) await this.#eraseAll("staged", page);
  }

  /** A session that stays gets a mark under the user's keyed hash instead of a plain one. */
  async #eraseMarked(names: readonly string[], mark: SessionRecord, isPlain: boolean): Promise<void> {
    const fork = await markedSession(this.#subject, names, mark);
    if (fork !== undefined) await this.#eraseFork(fork);
    if (fork === undefined || isPlain || !(await this.#stays(fork))) await this.#eraseAll("mark", [mark]);
  }

  /** A pointer leads to the sessions and to the marks of its device, so it is deleted after them. */
  async #eraseDevices(tolerantly: Tolerantly, isMarkedDone: boolean): Promise<void> {
    const { core, tenant, fallback } = this.#subject;
    for await (const { pointers, guests } of devicePages(this.#subject)) {
      if (fallback !== undefined) await this.#forgetWaiting(await waitingOf(this.#subject, pointers));
      let areDone = isMarkedDone;
      for (const guest of guests) areDone = (await tolerantly(() => this.#eraseTheirs(guest))) && areDone;
      if (!areDone) continue;
      for (const pointer of pointers) {
        // In one commit: a code belongs to the user while its device speaks for the user.
        const codes = (await linkCodesOf(core, tenant, [pointer.id])).map(
          (record) => ({ kind: "code", record }) as const,
        );
        const kind = isDevicePointer(pointer) ? "device" : "pointer";
        await this.#eraseBatch([...codes, { kind, record: pointer }]);
      }
    }
  }

  async #eraseSessions(tolerantly: Tolerantly): Promise<void> {
    for await (const page of sessionPages(this.#subject)) {
      for (const record of page) if (record.forkedAt > 0) await tolerantly(() => this.#eraseTheirs(record));
      await tolerantly(() =>
        this.#eraseAll(
          "session",
          page.filter(({ forkedAt }) => forkedAt === 0),
        ),
      );
    }
  }

  async #stays({ record: { tenant, id, createdAt } }: UserContent): Promise<boolean> {
    return (await this.#subject.core.find({ tenant, id }))?.record.createdAt === createdAt;
  }

  async #eraseTheirs(record: SessionRecord): Promise<void> {
    const names = record.forkedAt > 0 ? await namesOf(this.#subject) : [];
    await this.#eraseSession(
      names.length > 0 ? await ownTurnsOf({ ...this.#subject, names }, record) : { record, from: 1, isTheirs: true },
    );
  }

  /** Deletes a session, after the forks that share its turns. */
  async #eraseSession(session: UserContent): Promise<void> {
    const { record, isTheirs } = session;
    if (record.legalHold !== null) return await this.#eraseForks(session);
    const handle = new Handle(this.#subject.core, record);
    try {
      if (record.forkedAt > 0) {
        const before = (newest: SessionRecord): Promise<void> => this.#eraseForks({ ...session, record: newest });
        await detachForks(handle, { user: this.#subject.user, before });
      }
    } catch (error) {
      // Deleted with its parent, or by another run for the same user: the next look finds what is left.
      if (hasCode(error, "session_not_found")) return;
      throw error;
    }
    await this.#eraseAll(isTheirs ? "session" : "fork", [handle.record]);
  }

  async #eraseForks(session: UserContent): Promise<void> {
    if (session.record.forkedAt === 0) return;
    for await (const fork of forksContaining(this.#subject, session)) await this.#eraseFork(fork);
  }

  /** Deletes a fork, or marks it before its parent is deleted, and so on with its own forks. */
  async #eraseFork(fork: UserContent): Promise<void> {
    const { record, isTheirs } = fork;
    const goes = record.legalHold === null && (isTheirs || this.#request.forks === "erase");
    if (goes) return await this.#eraseSession(fork);
    if (record.user !== this.#subject.user) await markFork(this.#subject, fork);
    await this.#eraseForks(fork);
  }

  /** A session leads to its streams and its shares, so they are deleted before it. */
  async #eraseStreams(sessions: readonly SessionRecord[]): Promise<void> {
    for (const session of sessions)
      for await (const page of streamPages(this.#subject, session)) await this.#eraseAll("stream", page);
    for (const session of sessions)
      for await (const page of sharePages(this.#subject.core, session)) await this.#eraseAll("share", page);
  }

  async #eraseAll(kind: Kind, records: readonly SessionRecord[]): Promise<void> {
    if (kind === "session" || kind === "fork") await this.#eraseStreams(records);
    for (let start = 0; start < records.length; start += batchSize) {
      this.#request.signal?.throwIfAborted();
      await this.#eraseBatch(records.slice(start, start + batchSize).map((record) => ({ kind, record })));
    }
  }

  /** Deletes records and counts them, in one transaction. */
  async #eraseBatch(found: readonly Item[]): Promise<void> {
    const { core } = this.#subject;
    let items = found;
    await retryOnConflict(this.#retry, async (attempt) => {
      this.#request.signal?.throwIfAborted();
      items = this.#goingOf(items);
      if (items.length === 0) return true;
      const attachments = await this.#attachmentsOf(items);
      const progress = withAttachments(counted(this.#underWay(), items), attachments);
      const change = this.#noted(progress, progressTtlMs);
      const removed = items.map(({ record }) => removeSession(record));
      const outcome = await core.commit([...removed, ...attachments, change]);
      if (outcome.status === "ok") {
        this.#found = outcome.changes.at(-1)?.record ?? undefined;
        this.#progress = progress;
        return true;
      }
      if (items.length > 1 && attempt > 1 && !items.some(({ kind }) => kind === "device")) {
        // A session that is written to all the time must not delay the others.
        for (const item of items) await this.#eraseBatch([item]);
        return true;
      }
      items = await this.#newest(items, outcome);
      return undefined;
    });
  }

  /** The changes that remove the attachments of sessions. */
  async #attachmentsOf(items: readonly Item[]): Promise<readonly Change[]> {
    const sessions = items.filter(({ kind }) => kind === "session" || kind === "fork");
    return await removalChanges(this.#subject.core, ...sessions.map(({ record }) => record));
  }

  /** The newest records after a conflict: another process wrote to one of them, or erases the same user. */
  async #newest(items: readonly Item[], outcome: Settled): Promise<readonly Item[]> {
    const current = outcome.status === "conflict" ? outcome.current : undefined;
    // The conflict brings the record: after another load, a process that writes all the time would be ahead again.
    if (current !== undefined && isSameKey(this.#key, current)) {
      this.#know(current);
      return items;
    }
    if (current !== undefined && items.some(({ record }) => isSameKey(record, current)))
      return items.flatMap((item) => (isSameKey(item.record, current) ? stillMeant(item, current) : [item]));
    await this.#load();
    const newest = await this.#subject.core.findAll(items.map(({ record }) => record));
    return items.flatMap((item, index) => stillMeant(item, newest[index]));
  }

  /** The records that may be deleted now: a code only together with its device. */
  #goingOf(items: readonly Item[]): readonly Item[] {
    const going = items.filter((item) => this.#mayGo(item));
    const devices = new Set<unknown>(going.filter(({ kind }) => kind === "device").map(({ record }) => record.id));
    return going.filter(({ kind, record }) => kind !== "code" || devices.has(record.metadata["device"]));
  }

  /** A session under legal hold stays. The next pass looks at one that was forked, or got another user, since. */
  #mayGo({ kind, record }: Item): boolean {
    const { legalHold, forkedAt, user } = record;
    if (legalHold !== null || forkedAt > 0) return false;
    const isTheirs = user === this.#subject.user;
    switch (kind) {
      case "device":
        return isTheirs || (this.#subject.isGuest && user === null);
      case "pointer":
        return isTheirs || user === null || renamedTo(record) !== undefined;
      case "session":
      case "code":
        return isTheirs || user === null;
      case "fork":
      case "mark":
      case "staged":
      case "stream":
      case "share":
        return true;
    }
  }

  /** The outbox is another store: after a crash, the count may lack the sessions that were deleted last. */
  async #forgetWaiting(records: readonly SessionRecord[]): Promise<void> {
    const { fallback } = this.#subject;
    const deleted: SessionRecord[] = [];
    for (const record of records) {
      const outcome = await fallback?.commit([removeSession(record)]);
      if (outcome?.status === "ok") deleted.push(record);
    }
    if (deleted.length === 0) return;
    await this.#note((progress) =>
      counted(
        progress,
        deleted.map((record) => ({ kind: "outbox", record })),
      ),
    );
  }

  #noted(progress: Progress, ttlMs: number): ReturnType<typeof internalChange> {
    return internalChange(this.#subject.core, this.#key, this.#found, {
      metadata: progress as unknown as Metadata,
      ttlMs,
    });
  }

  /** True where only sessions that stay are left. */
  #isDone({ sessions, legalHold, devices, pointers, documents, outbox, sharedForks }: References): boolean {
    const forksAreDone = this.#request.forks !== "erase" || sharedForks.count === sharedForks.legalHold;
    const others = devices + pointers + documents.count + outbox;
    return sessions === legalHold && others === 0 && forksAreDone;
  }

  async #finish({ legalHold, sharedForks }: References): Promise<ErasureReceipt> {
    const { core, fallback, tenant } = this.#subject;
    return await retryOnConflict(this.#retry, async () => {
      const stored = this.#progress?.receipt;
      const known = stored == null ? undefined : currentReceipt(stored);
      if (known !== undefined && !this.#hasDeleted && isSame(known.sharedForks, sharedForks)) return known;
      const progress = this.#underWay();
      await deleteRemovedObjects(core, tenant);
      await core.store.scrub();
      await fallback?.store.scrub();
      const receipt = signReceipt(core, {
        tenant,
        subject: this.#key.id,
        store: this.#request.store ?? null,
        startedAt: new Date(progress.startedAt).toISOString(),
        finishedAt: new Date(core.now()).toISOString(),
        erased: progress.erased,
        legalHold,
        sharedForks,
        scrubbed: core.store.capabilities.scrubs,
        hash: progress.hash,
      });
      const outcome = await core.commit([this.#noted({ ...progress, receipt }, receiptTtlMs)]);
      if (outcome.status === "ok") return receipt;
      await this.#load();
      return undefined;
    });
  }
}

/** Runs a part of a pass; false where its error is kept for the end of the pass. */
type Tolerantly = (work: () => Promise<void>) => Promise<boolean>;

/** A record to delete, and its kind. */
interface Item {
  readonly kind: Kind;
  readonly record: SessionRecord;
}

/** The item with the newest record; nothing where that is another session, device or mark. */
function stillMeant({ kind, record }: Item, current: SessionRecord | undefined): readonly Item[] {
  if (current === undefined) return [];
  // A mark that was written since says more.
  const isSame =
    kind === "mark"
      ? current.version === record.version
      : kind === "code"
        ? current.metadata["device"] === record.metadata["device"]
        : kind === "device" || kind === "pointer" || current.createdAt === record.createdAt;
  return isSame ? [{ kind, record: current }] : [];
}

function isSameKey(one: SessionKey, other: SessionKey): boolean {
  return one.tenant === other.tenant && one.id === other.id;
}

/** True where a receipt with one would say the same as with the other. */
function isSame(one: SharedForks, other: SharedForks): boolean {
  return (
    one.count === other.count &&
    one.legalHold === other.legalHold &&
    one.ids.every((id, index) => id === other.ids[index])
  );
}
