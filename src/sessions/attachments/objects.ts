/**
 * Contents whose bytes are objects of an attachment store. The content names the object, whose name is random: a late deletion never
 * removes a later upload of the same bytes. While no content names it, an object has a record in an internal scope:
 *
 * - *arriving*: its upload is under way. It is written before the first byte. Exits: the commit that writes the content removes the
 *   record; the upload is given up, or its process ends: it becomes *removed*.
 * - *removed*: no content has it. The commit that removes a content writes this record. Exit: the object is deleted, and then the
 *   record is removed.
 *
 * So a process that is killed between any two calls leaves an object with a record, which the sweep visits: one that is *removed* at
 * once, one that is *arriving* a day after its upload began.
 */
import { attachmentScopes, nextVisit, objectScope } from "../../domain/attachments/attachment.ts";
import { changeOf, draftOf, set, type Change, type Transaction } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import { draftOfNew, removeSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { durationMaxMs } from "../../domain/values/limits.ts";
import { sortableId } from "../../domain/values/ids.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { tenantOfScope } from "../../domain/values/internal-scope.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { nodeCrypto } from "../../node-crypto.ts";
import type { Core } from "../core/core.ts";
import { readablePages } from "../core/record-pages.ts";
import { isMarked, openedAttachmentStore, type MarkedStore } from "./marked-store.ts";
import { contentKey } from "./records.ts";

/**
 * The sweep looks at an upload after this time, and not before: nearly all of them end by themselves, and each look costs a read and a
 * question whether the process runs. So it does with an object that cannot be deleted here.
 */
const againMs = 86_400_000;

/** The part of a name that stands for the tenant, whose own name may have any character. */
function folderOf(tenant: string): string {
  return nodeCrypto().createHash("sha256").update(tenant).digest("hex").slice(0, 32);
}

/** The name of an object in the attachment store. */
export function objectName(tenant: string, id: string): string {
  return `${folderOf(tenant)}/${id}`;
}

/** The parts of a name; undefined for a name that Perdure does not give. */
export function readName(name: string): { readonly folder: string; readonly id: string } | undefined {
  const [, folder, id] = /^([0-9a-f]{32})\/([0-9a-z]{26})$/.exec(name) ?? [];
  return folder === undefined || id === undefined ? undefined : { folder, id };
}

/** True for the name of an object of this tenant. */
export function isOfTenant(name: string, tenant: string): boolean {
  return readName(name)?.folder === folderOf(tenant);
}

/** The id of the object with the bytes of a content; undefined where the store of sessions has them. */
export function objectOf({ user }: SessionRecord): string | undefined {
  return user ?? undefined;
}

/** @throws SessionError `attachment_store_failed` where this process opens no attachment store */
export function attachmentStoreOf(core: Core): MarkedStore {
  const attachmentStore = openedAttachmentStore(core);
  if (attachmentStore !== undefined) return attachmentStore;
  throw new SessionError("attachment_store_failed", { problem: "not_opened" });
}

/** Do `work`, which calls the attachment store. @throws SessionError `attachment_store_failed` for an error that is not Perdure's */
export async function calling<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof SessionError) throw cause;
    throw new SessionError("attachment_store_failed", { problem: "failed" }, { cause, reported: reasonOf(cause) });
  }
}

/** The text of an error. Errors of a network may have a code or causes alone. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return `it threw ${formatValue(cause)}`;
  if (cause.message !== "") return cause.message;
  if (cause instanceof AggregateError && cause.errors.length > 0) return reasonOf(cause.errors[0]);
  const { code } = cause as NodeJS.ErrnoException;
  return `its error ${code === undefined ? cause.name : `${cause.name} (${code})`} has no message`;
}

/**
 * Before objects of a tenant are removed for good: this process opens their store. It looks at nothing where no object was ever put.
 * @throws SessionError `attachment_store_failed`
 */
export async function guardAttachmentStore(core: Core, tenant: string): Promise<void> {
  const store = openedAttachmentStore(core);
  if (store !== undefined) await calling(() => store.verify());
  else if ((await isMarked(core)) && (await hasObjects(core, tenant))) attachmentStoreOf(core);
}

/** Why this process cannot read the objects of the sessions; undefined if it can. */
export async function attachmentStoreProblem(core: Core): Promise<string | undefined> {
  try {
    const store = attachmentStoreOf(core);
    await calling(() => store.verify());
    return undefined;
  } catch (error) {
    if (hasCode(error, "attachment_store_failed")) return error.message;
    throw error;
  }
}

async function hasObjects(core: Core, tenant: string): Promise<boolean> {
  const { contents } = attachmentScopes(tenant);
  for (const scope of [objectScope(tenant), contents])
    for await (const page of readablePages(core, { order: "key", tenant: scope, now: 0, limit: 50 }))
      if (scope !== contents || page.some((content) => objectOf(content) !== undefined)) return true;
  return false;
}

/** The record of an object that no content names. */
interface Passing {
  /** The process that writes the object; absent once it is removed. */
  readonly instance?: string;
}

function passingOf({ metadata }: SessionRecord): Passing {
  return metadata;
}

function passing(core: Core, key: SessionKey, about: Passing, sweepAt: number): Change {
  const context = core.context();
  const metadata = { ...about };
  // It never expires: a program of an earlier version would remove it, and leave the object.
  const session = {
    key,
    agent: "perdure",
    user: null,
    metadata,
    ttlMs: durationMaxMs,
    maxAgeMs: null,
    instructions: null,
  };
  const draft = draftOfNew(session, undefined, context);
  set(draft, { sweepAt });
  return changeOf(draft);
}

/** An object on its way to a content. Disposing of it deletes it, unless a content took it over. */
export class ArrivingObject implements AsyncDisposable {
  readonly id: string;
  readonly #core: Core;
  readonly #record: SessionRecord;
  #hash: string | undefined;
  #isTaken = false;

  private constructor(core: Core, record: SessionRecord) {
    this.#core = core;
    this.#record = record;
    this.id = record.id;
  }

  static async begin(core: Core, tenant: string): Promise<ArrivingObject> {
    const store = attachmentStoreOf(core);
    await calling(() => store.verify());
    await core.instance.ensureAlive();
    await core.learnTime();
    const key = { tenant: objectScope(tenant), id: sortableId(core.now(), core.options.clock.random(16)) };
    const change = passing(core, key, { instance: core.instance.id }, core.now() + againMs);
    const outcome = await core.commit([change]);
    const record = outcome.status === "ok" ? outcome.changes[0]?.record : undefined;
    if (record == null) throw new SessionError("contended", { sessionId: key.id, tenant, attempts: 1 });
    return new ArrivingObject(core, record);
  }

  /** Store the bytes. @throws what `bytes` throws, and SessionError `attachment_store_failed` */
  async put(bytes: AsyncIterable<Uint8Array>): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    const watched = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      try {
        yield* bytes;
      } catch (error) {
        failure = { error };
        throw error;
      }
    };
    const store = attachmentStoreOf(this.#core);
    try {
      await calling(() => store.put(objectName(tenantOfScope(this.#record.tenant), this.id), watched()));
    } catch (error) {
      // The error of the source as it is, also where the attachment store wraps it.
      throw failure === undefined ? error : failure.error;
    }
  }

  /** All bytes are stored, and this is their hash. */
  arrived(hash: string): void {
    this.#hash = hash;
  }

  /** The change that goes into the commit in which a content takes the object over. */
  get removal(): Change {
    return removeSession(this.#record);
  }

  /** A content took the object over. */
  taken(): void {
    this.#isTaken = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isTaken) return;
    try {
      const outcome = await this.#core.commit([givenUp(this.#record, this.#core.now())]);
      if (outcome.status !== "ok") await this.#deleteUnnamed();
    } catch {
      // The store is away: the sweep visits the record.
    }
  }

  /**
   * The record is gone. Either a content took the object over in a commit whose answer was lost; or the sweep removed both, because
   * this process seemed to have ended, and the bytes arrived after that.
   */
  async #deleteUnnamed(): Promise<void> {
    const tenant = tenantOfScope(this.#record.tenant);
    if ((await this.#core.find(this.#record)) !== undefined) return;
    const [content] = this.#hash === undefined ? [] : await this.#core.findAll([contentKey(tenant, this.#hash)]);
    if (content !== undefined && objectOf(content) === this.id) return;
    await calling(() => attachmentStoreOf(this.#core).delete(objectName(tenant, this.id)));
  }
}

/** An arriving object that no content will take over. */
function givenUp(record: SessionRecord, sweepAt: number): Change {
  const draft = draftOf(record);
  set(draft, { metadata: {}, sweepAt });
  return changeOf(draft);
}

/** The changes beside the removal of a content: its object is to be deleted. */
export function objectRemoval(core: Core, content: SessionRecord): readonly Change[] {
  const id = objectOf(content);
  if (id === undefined) return [];
  return [passing(core, { tenant: objectScope(tenantOfScope(content.tenant)), id }, {}, core.now())];
}

/** The records of the objects that a transaction leaves to be deleted. */
export function removedObjects(transaction: Transaction): readonly SessionRecord[] {
  const removed: SessionRecord[] = [];
  for (const change of transaction)
    if ("record" in change && change.record !== null && isRemoved(change.record)) removed.push(change.record);
  return removed;
}

function isRemoved(record: SessionRecord): boolean {
  return record.tenant.endsWith(objectsEnd) && passingOf(record).instance === undefined;
}

const objectsEnd = objectScope("");

/** Delete a removed object, and then its record. @throws SessionError `attachment_store_failed`, and the store's */
export async function deleteObject(core: Core, record: SessionRecord): Promise<void> {
  const store = attachmentStoreOf(core);
  await calling(() => store.delete(objectName(tenantOfScope(record.tenant), record.id)));
  await core.commit([removeSession(record)]);
}

/** A visit of the sweep to the record of an object that is due. @throws SessionError as {@link deleteObject} */
export async function visitObject(core: Core, record: SessionRecord, now: number): Promise<void> {
  const { instance } = passingOf(record);
  if (instance === undefined) {
    // A process that opens no attachment store leaves the object to another one.
    if (core.options.attachmentStore !== undefined) await deleteObject(core, record);
    else await core.commit([postponed(record, now + againMs)]);
    return;
  }
  const isUnderWay = await core.instance.runs(instance);
  // The writer needs the record as it is to finish: once this commit has landed, no content can take the object over.
  await core.commit([isUnderWay ? postponed(record, nextVisit(record.createdAt, now)) : givenUp(record, now)]);
}

function postponed(record: SessionRecord, sweepAt: number): Change {
  const draft = draftOf(record);
  set(draft, { sweepAt });
  return changeOf(draft);
}

/**
 * Delete all objects of a tenant that no content has: those that were removed, and uploads of processes that have ended.
 * @throws SessionError as {@link deleteObject}
 */
export async function deleteRemovedObjects(core: Core, tenant: string): Promise<void> {
  const query = { order: "key", tenant: objectScope(tenant), now: 0, limit: 50 } as const;
  for await (const page of readablePages(core, query))
    for (const record of page) {
      const { instance } = passingOf(record);
      if (instance !== undefined && (await core.instance.runs(instance))) continue;
      let found: SessionRecord | undefined = record;
      if (instance !== undefined) {
        const outcome = await core.commit([givenUp(record, core.now())]);
        found = outcome.status === "ok" ? (outcome.changes[0]?.record ?? undefined) : undefined;
      }
      if (found !== undefined) await deleteObject(core, found);
    }
}
