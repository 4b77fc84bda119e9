/** Counts the data of a user. */
import type { DocumentKey } from "../../domain/documents/document.ts";
import { defined } from "../../domain/values/defined.ts";
import { isDevicePointer } from "../devices/device-pointer.ts";
import { userContents, marksOf, noSharedForks, withFork, type SharedForks } from "./shared-forks.ts";
import { devicePages, sessionPages, stagedPages, waitingOf, waitingPages, type Subject } from "./subject.ts";

/** The data of a user in a store and in this machine's outbox. */
export interface References {
  /** Sessions in any state, archives included, and forks of them that name no user. */
  readonly sessions: number;
  /** Sessions of these under legal hold. */
  readonly legalHold: number;
  /** Devices that are linked to the user. */
  readonly devices: number;
  /**
   * Records that point from the user to sessions: the pointer of the user, marks that name the user, and staged logs of
   * unfinished copies.
   */
  readonly pointers: number;
  /** Documents that name the user. */
  readonly documents: DocumentReferences;
  /** Sessions in this machine's outbox. */
  readonly outbox: number;
  /** Sessions of other users that contain turns of the user. */
  readonly sharedForks: SharedForks;
}

/** The documents of a user. */
export interface DocumentReferences {
  readonly count: number;
  /** The first 50 of them. */
  readonly keys: readonly { readonly scope: string; readonly key: string }[];
}

const keysMax = 50;
/** The bytes of documents that are read at once for their keys. */
const bytesMax = 1024 * 1024;

async function documentsOf({ core, tenant, user, isGuest }: Subject): Promise<DocumentReferences> {
  if (isGuest) return { count: 0, keys: [] };
  const count = await core.store.countDocuments({ tenant, user });
  const keys: { scope: string; key: string }[] = [];
  let after: DocumentKey | undefined;
  while (keys.length < Math.min(count, keysMax)) {
    const page = { tenant, user, limit: keysMax - keys.length, bytesMax, ...defined({ after }) };
    const { documents, next } = await core.store.documents(page);
    keys.push(...documents.map(({ scope, key }) => ({ scope, key })));
    if (next === undefined) break;
    after = next;
  }
  return { count, keys };
}

export async function countReferences(subject: Subject): Promise<References> {
  const documents = await documentsOf(subject);
  const none = { sessions: 0, legalHold: 0, devices: 0, pointers: 0, outbox: 0, sharedForks: noSharedForks };
  const references = { ...none, documents };
  for await (const page of sessionPages(subject)) {
    references.sessions += page.length;
    references.legalHold += page.filter(({ legalHold }) => legalHold !== null).length;
  }
  for await (const { pointers, guests } of devicePages(subject)) {
    const devices = pointers.filter(isDevicePointer).length;
    references.devices += devices;
    references.pointers += pointers.length - devices;
    references.sessions += guests.length;
    references.legalHold += guests.filter(({ legalHold }) => legalHold !== null).length;
    references.outbox += (await waitingOf(subject, pointers)).length;
  }
  for await (const page of stagedPages(subject)) references.pointers += page.length;
  for await (const page of waitingPages(subject)) references.outbox += page.length;
  for await (const { isPlain } of marksOf(subject)) if (isPlain) references.pointers++;
  for await (const { record, isTheirs } of userContents(subject)) {
    if (isTheirs && record.legalHold === null) references.sessions++;
    else references.sharedForks = withFork(references.sharedForks, record);
  }
  return references;
}
