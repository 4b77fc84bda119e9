/** Lists the streams of a tenant. */
import { headOf } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { turnOf, type Turn } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import { parseId } from "../../domain/values/ids.ts";
import { streamScope } from "../../domain/values/internal-scope.ts";
import { parseArray } from "../../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import type { Page, PageQuery } from "../../domain/values/pages.ts";
import { hasCode } from "../../errors.ts";
import type { Loaded } from "../../store/store.ts";
import type { Core } from "../core/core.ts";
import { parseLimit, parseOneOf } from "../options/arguments.ts";
import { hasLapsed } from "./reader.ts";

/**
 * `streaming`: its producer is alive; `done`: it ended; `error`: its producer reported a failure; `lost`: its producer has ended,
 * or closed without an end; `missing`: it was not acquired, was deleted, or its time to live has passed.
 */
export type StreamStatus = "streaming" | "done" | "error" | "lost" | "missing";

/** The status of a stream that there is. */
export type StandingStatus = Exclude<StreamStatus, "missing">;

/** A stream, without its parts. */
export interface StreamInfo {
  readonly stream: string;
  readonly status: StandingStatus;
  /** The session whose answer it is; null: none. */
  readonly session: string | null;
  /** The number of its parts. */
  readonly parts: number;
  readonly createdAt: Date;
  /** The time of the last part, or of the end. */
  readonly lastActivityAt: Date;
  /** When its time to live has passed; a later part moves it. */
  readonly expiresAt: Date | null;
}

/** The streams to list, and the page of them. */
export interface StreamQuery extends PageQuery {
  /** @default any */
  readonly status?: StandingStatus | readonly StandingStatus[];
  /** Only the streams of this session. */
  readonly session?: string;
}

/** One page of streams. It may end before `limit`, where streams of another status are between. */
export interface StreamPage extends Page<StreamInfo> {
  /** Streams of the page whose record cannot be read; absent where there are none. `streams.delete` deletes them. */
  readonly unreadable?: readonly UnreadableStream[];
}

/** A stream whose record is damaged. */
export interface UnreadableStream {
  readonly id: string;
  /** The damaged part. */
  readonly reason: string;
}

const queryNames: OptionNames<StreamQuery> = { status: true, session: true, limit: true, after: true };
const standing: readonly StandingStatus[] = ["streaming", "done", "error", "lost"];

const statuses: { readonly [Status in Turn["status"]]: StandingStatus } = {
  open: "streaming",
  waiting: "streaming",
  done: "done",
  failed: "error",
  interrupted: "lost",
};

/** The status of a stream; its last turn is loaded with it. */
export async function statusOf(core: Core, { record, tails }: Loaded): Promise<StandingStatus> {
  const [entry] = tails[0] ?? [];
  const status = entry === undefined ? "lost" : statuses[turnOf(entry).status];
  return status === "streaming" && !(await isProduced(core, record)) ? "lost" : status;
}

/** True while the producer of a stream in progress is alive. */
export async function isProduced(core: Core, record: SessionRecord): Promise<boolean> {
  return record.lease !== null && (await core.instance.isAlive(record, record.lease));
}

/** The stream, with its last turn. */
export async function infoOfStream(core: Core, loaded: Loaded): Promise<StreamInfo> {
  const { record } = loaded;
  const { id, user, createdAt, lastActivityAt, expiresAt } = record;
  return {
    stream: id,
    status: await statusOf(core, loaded),
    session: user,
    parts: headOf(record, "chunks"),
    createdAt: new Date(createdAt),
    lastActivityAt: new Date(lastActivityAt),
    expiresAt: expiresAt === null ? null : new Date(expiresAt),
  };
}

/** A page of the streams of a tenant, the most recently written first. @throws SessionError `argument_invalid`, `id_invalid` */
export async function listStreams(core: Core, tenant: string, query: StreamQuery): Promise<StreamPage> {
  guardNames(query, "query", queryNames);
  const { status = standing, session, limit = 100, after } = query;
  const wanted = new Set(parseStatuses(status));
  const { pageMax, pageBytesMax: bytesMax } = core.options.limits;
  const user = session === undefined ? undefined : parseId(session, "session");
  await core.learnTime();
  const now = core.now();
  const page = await core.store.find({
    order: "recent",
    tenant: streamScope(tenant),
    now,
    limit: parseLimit(limit, pageMax),
    bytesMax,
    ...defined({ user, after }),
  });
  const unreadable: UnreadableStream[] = page.unreadable.map(({ details: { sessionId: id, field } }) => ({
    id,
    reason: `its ${field} cannot be read`,
  }));
  const infos = page.records.map(async (record): Promise<StreamInfo | undefined> => {
    if (hasLapsed(record, now)) return undefined;
    const { tenant: scope, id } = record;
    const found = await core.find({ tenant: scope, id }, [{ log: "turns", last: 1 }]);
    try {
      // A stream that was deleted meanwhile is left out.
      return found === undefined ? undefined : await infoOfStream(core, found);
    } catch (error) {
      if (!hasCode(error, "store_invalid")) throw error;
      unreadable.push({ id, reason: "its end cannot be read" });
      return undefined;
    }
  });
  const items = (await Promise.all(infos)).filter((one) => one !== undefined);
  return defined({
    items: items.filter((one) => wanted.has(one.status)),
    next: page.next,
    unreadable: unreadable.length === 0 ? undefined : unreadable,
  });
}

function parseStatuses(status: StandingStatus | readonly StandingStatus[]): readonly StandingStatus[] {
  const given = typeof status === "string" ? [status] : status;
  return Array.from(parseArray(given, "status"), (one) => parseOneOf(one, "status", standing));
}
