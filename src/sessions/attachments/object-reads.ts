/**
 * A store whose contents have their bytes in an attachment store: it answers reads of the pieces of a content, as if the log had them,
 * and deletes the objects that a commit leaves. Whatever reads a content, a copy, a backup or the doctor, reads it in one way.
 */
import { bytesLog, isContentScope, pieceBytes, piecesOf } from "../../domain/attachments/attachment.ts";
import type { Transaction } from "../../domain/record/change.ts";
import type { Entry, SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { tenantOfScope } from "../../domain/values/internal-scope.ts";
import { storeBefore } from "../../store/calls/forwarding-store.ts";
import type { Loaded, LoadRequest, LogRange, Look, Outcome, Store } from "../../store/store.ts";
import type { Core } from "../core/core.ts";
import { attachmentStoreOf, calling, deleteObject, objectName, objectOf, removedObjects } from "./objects.ts";
import { dataOfPiece } from "./pieces.ts";
import { lengthOfContent } from "./records.ts";

/** A content may go from the store to an object, or back, while it is read. */
const looksMax = 3;
/** The characters of an entry with a whole piece. */
const pieceLength = (pieceBytes / 3) * 4 + 2;

/**
 * The store, which answers for contents that are objects. `original`: the store is an earlier moment of this one, which may have removed
 * an object or moved it since.
 */
export function withObjects(core: Core, store: Store, original?: Core): Store {
  return Object.assign(storeBefore(store), {
    commit: (batch: readonly Transaction[]) => commit(core, store, batch),
    load: (requests: readonly LoadRequest[]) => load({ core, original }, store, requests),
    read: (key: SessionKey, range: LogRange) =>
      range.log === bytesLog && isContentScope(key.tenant)
        ? read({ core, original }, store, key, range)
        : store.read(key, range),
  });
}

function commit(core: Core, store: Store, batch: readonly Transaction[]): Promise<readonly Outcome[]> {
  const committed = store.commit(batch);
  if (core.options.attachmentStore === undefined) return committed;
  const removed = batch.map(removedObjects);
  if (removed.every(({ length }) => length === 0)) return committed;
  return committed.then((outcomes) => {
    const left = removed.filter((_, index) => outcomes[index]?.status === "ok").flat();
    // What fails here, the sweep does.
    for (const record of left) core.track(() => deleteObject(core, record).catch(() => undefined));
    return outcomes;
  });
}

interface Cores {
  readonly core: Core;
  readonly original: Core | undefined;
}

function load(cores: Cores, store: Store, requests: readonly LoadRequest[]): Promise<Look> {
  const look = store.load(requests);
  const concerns = ({ key, tails }: LoadRequest): boolean => tails.length > 0 && isContentScope(key.tenant);
  if (!requests.some(concerns)) return look;
  return look.then(async ({ now, sessions }) => {
    const found: (Loaded | undefined)[] = [];
    for (const [index, loaded] of sessions.entries()) {
      const tails = requests[index]?.tails ?? [];
      found.push(loaded === undefined ? undefined : await withTails(cores, loaded, tails));
    }
    return { now, sessions: found };
  });
}

async function withTails(cores: Cores, loaded: Loaded, requested: LoadRequest["tails"]): Promise<Loaded> {
  const { record } = loaded;
  if (!isContentScope(record.tenant) || objectOf(record) === undefined) return loaded;
  const tails: (readonly Entry[])[] = [];
  for (const [index, tail] of loaded.tails.entries()) {
    const { log = "", last = 0, ...bounds } = requested[index] ?? {};
    const count = piecesOf(lengthOfContent(record));
    if (log !== bytesLog || last === 0) tails.push(tail);
    else {
      const range = { from: 1, to: count, order: "descending", limit: last, ...bounds } as const;
      tails.push(((await piecesFound(cores, record, range)) ?? []).toReversed());
    }
  }
  return { ...loaded, tails };
}

async function read(cores: Cores, store: Store, key: SessionKey, range: LogRange): Promise<readonly Entry[]> {
  for (let look = 1; look <= looksMax; look++) {
    const rows = await store.read(key, range);
    if (rows.length > 0 || !("from" in range)) return rows;
    const [loaded] = (await store.load([{ key, tails: [] }])).sessions;
    if (loaded === undefined || objectOf(loaded.record) === undefined) return rows;
    const found = await piecesFound(cores, loaded.record, range);
    if (found !== undefined) return found;
  }
  return [];
}

type PieceRange = Omit<Extract<LogRange, { readonly from: number }>, "log">;

async function piecesFound(
  { core, original }: Cores,
  content: SessionRecord,
  range: PieceRange,
): Promise<readonly Entry[] | undefined> {
  const pieces = await piecesOfObject(core, content, range);
  if (pieces !== undefined || original === undefined) return pieces;
  return await original.store.read({ tenant: content.tenant, id: content.id }, { ...range, log: bytesLog });
}

/** Pieces of the object of a content, as entries; undefined where there is no such object. */
async function piecesOfObject(
  core: Core,
  content: SessionRecord,
  { from, to, order, limit, bytesMax = Number.MAX_SAFE_INTEGER }: PieceRange,
): Promise<readonly Entry[] | undefined> {
  const length = lengthOfContent(content);
  const [first, last] = [Math.max(1, from), Math.min(to, piecesOf(length))];
  const count = Math.min(last - first + 1, limit, Math.max(1, Math.floor(bytesMax / pieceLength)));
  if (count <= 0) return [];
  const begin = order === "ascending" ? first : last - count + 1;
  const span = { from: (begin - 1) * pieceBytes, to: Math.min((begin + count - 1) * pieceBytes, length) - 1 };
  const name = objectName(tenantOfScope(content.tenant), objectOf(content) ?? "");
  const bytes = await calling(async () => {
    const opened = await attachmentStoreOf(core).get(name, span);
    return opened == null ? undefined : Buffer.concat(await Array.fromAsync(opened));
  });
  if (bytes === undefined) return undefined;
  const entries: Entry[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes)
    entries.push({
      seq: begin + entries.length,
      key: null,
      at: content.createdAt,
      data: dataOfPiece(bytes.subarray(at, at + pieceBytes)),
    });
  return order === "ascending" ? entries : entries.toReversed();
}
