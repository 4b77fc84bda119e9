/**
 * Streams: parts that one producer writes and any number of readers in any process read. A stream is a session in an
 * internal scope with one turn. States of a stream:
 *
 * - *open*: its turn is open, and its producer has the lease. A producer that has ended leaves it open until a reader or an
 *   acquisition recovers it.
 * - *over*: its turn is sealed: `done` by its producer, `failed` by its producer, or `interrupted` without it. Its parts
 *   stay until its time to live has passed.
 */
import { SessionError } from "../../errors.ts";
import { changeOf, draftOf, headOf, set, splice, turnsIdentity, type Change, type Draft } from "../record/change.ts";
import type { SessionKey } from "../record/entry.ts";
import { fenced, sessionIds, type Context } from "../record/guards.ts";
import { draftOfNew, stayLive } from "../record/lifecycle.ts";
import type { Lease, SessionRecord } from "../record/record.ts";
import { encodeChunk, type Chunk } from "./chunk.ts";
import { tokenHolder } from "./leases.ts";
import { appendChunks, beginTurn, sealTurn, type Sealing } from "./turns.ts";
import type { Turn } from "./turn.ts";

/** A stream to begin. */
export interface NewStream {
  readonly key: SessionKey;
  /** The session whose answer it is; null: none. */
  readonly session: string | null;
  readonly ttlMs: number;
  /** Distinguishes the stream from another one with its id, also from one that began in the same millisecond. */
  readonly birth: string;
  /** The instance of the producer; or how long the lease of a producer with a token lasts after each request, ms, and its secret. */
  readonly holder: { readonly instance: string } | { readonly leaseMs: number; readonly secret: string };
}

/** The agent of the record, which every session has. */
const agent = "perdure";

/** A record in the place of a stream that does not exist. */
export function absentStream(key: SessionKey, context: Context): SessionRecord {
  return draftOfNew({ ...common, key, user: null, ttlMs: 1 }, undefined, context).record;
}

const common = { agent, metadata: {}, maxAgeMs: null, instructions: null } as const;

/** Begin a stream in the place of the one that was found, or of none: its record, its turn and its lease in one commit. */
export function beginStream(
  found: SessionRecord,
  { key, session, ttlMs, birth, holder }: NewStream,
  context: Context,
): Change {
  // Streams are found by their session through the index of users.
  const isToken = "leaseMs" in holder;
  const [instance, leaseMs] = isToken ? [tokenHolder, holder.leaseMs] : [holder.instance, null];
  const metadata = isToken ? { birth, bytes: 0, leaseMs: holder.leaseMs, secret: holder.secret } : { birth };
  const fresh = { ...common, key, user: session, ttlMs, metadata };
  const draft = draftOfNew(fresh, found.version === 0 ? undefined : found, context);
  for (const log of Object.keys(found.heads)) if (log !== "turns") splice(draft, log, 1, []);
  const writer = { instance, fence: null, seen: turnsIdentity(draft.base), seenTurn: 0 };
  const lease = { instance, ttlMs: leaseMs, ticket: null };
  return beginTurn(draft, { turn: { key: null, agent, input: [] }, writer, lease }, context);
}

/** True for two records of one stream. Streams of earlier versions have their time of creation alone. */
export function isSameStream(one: SessionRecord, other: SessionRecord): boolean {
  return one.createdAt === other.createdAt && birthOf(one) === birthOf(other);
}

/** Undefined for a stream of an earlier version. */
export function birthOf({ metadata: { birth } }: SessionRecord): string | undefined {
  return typeof birth === "string" ? birth : undefined;
}

/**
 * The token of a producer: the fencing token of its lease, and the secret of the stream. In a stream of an earlier version, the id of
 * the commit that granted the lease is in the place of the secret.
 */
export function streamToken({ fence, commitId }: Lease, { metadata: { secret } }: SessionRecord): string {
  return `${fence}.${typeof secret === "string" ? secret : commitId}`;
}

/** Parts that a producer with a token writes. */
export interface TokenParts {
  readonly token: string;
  /** How many parts the producer has written before: those of a request that is repeated are not written again. */
  readonly after: number;
  readonly chunks: readonly Chunk[];
}

/**
 * Append parts under the token of the producer, and renew its lease. Null where that changes nothing.
 * @throws SessionError `fenced` for another token, `turn_not_open`, `interrupted` once the stream is stopped, `range_invalid` where
 *   parts are missing before these, `turn_parts_exceeded`, `turn_too_large`
 */
export function extendStream(record: SessionRecord, parts: TokenParts, context: Context): Change | null {
  const lease = guardStreamToken(record, parts.token);
  if (record.cancel !== null)
    throw new SessionError("interrupted", { ...sessionIds(record), turn: record.cancel.turn, how: "cancelled" });
  const draft = draftOf(record);
  const { leaseMs } = writeParts(draft, parts, context);
  // A producer without parts asks more often than its lease needs it.
  const isFresh = lease.expiresAt !== null && lease.expiresAt - context.now > leaseMs / 2;
  if (draft.record === record && isFresh) return null;
  set(draft, { lease: { ...lease, expiresAt: context.now + leaseMs } });
  stayLive(draft, context);
  return changeOf(draft);
}

/**
 * End a stream under the token of its producer, with its last parts.
 * @throws SessionError as {@link extendStream}, but for one that is stopped, which its producer may end
 */
export function endStream(
  record: SessionRecord,
  { open, sealing, ...parts }: TokenParts & { readonly open: Turn; readonly sealing: Sealing },
  context: Context,
): Change {
  const { fence } = guardStreamToken(record, parts.token);
  const { rest, bytes } = restOf(record, parts);
  const last = { chunks: rest, chunkBytes: bytes };
  return sealTurn(draftOf(record), { open, sealing, fence, release: true, replaced: [], rest: last }, context);
}

/** The parts that are not written yet, and the bytes of all parts with them. @throws SessionError `range_invalid` */
export function restOf(
  record: SessionRecord,
  { after, chunks }: Pick<TokenParts, "after" | "chunks">,
): { readonly rest: readonly Chunk[]; readonly bytes: number } {
  const written = headOf(record, "chunks");
  if (after > written)
    throw new SessionError("range_invalid", { ...sessionIds(record), name: "after", from: after, to: written });
  const rest = chunks.slice(written - after);
  const before = Number(record.metadata["bytes"] ?? 0);
  return { rest, bytes: rest.reduce((sum, chunk) => sum + Buffer.byteLength(encodeChunk(chunk)), before) };
}

function writeParts(draft: Draft, parts: TokenParts, context: Context): { readonly leaseMs: number } {
  const leaseMs = Number(draft.record.metadata["leaseMs"]);
  const { rest, bytes } = restOf(draft.record, parts);
  if (rest.length === 0) return { leaseMs };
  appendChunks(draft, { chunks: rest, chunkBytes: bytes }, context);
  set(draft, { metadata: { ...draft.record.metadata, bytes, leaseMs } });
  return { leaseMs };
}

function guardStreamToken(record: SessionRecord, token: string): Lease {
  const { lease, openTurn } = record;
  if (openTurn === null) throw new SessionError("turn_not_open", { ...sessionIds(record), turn: 1 });
  if (lease !== null && lease.instance === tokenHolder && streamToken(lease, record) === token) return lease;
  throw fenced(record, Number.parseInt(token, 10) || 0);
}
