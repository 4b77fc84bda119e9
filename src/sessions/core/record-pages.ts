import type { SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { eachPage } from "../../domain/values/pages.ts";
import type { SessionError } from "../../errors.ts";
import { encodeCursor } from "../../store/cursor.ts";
import type { SessionQuery } from "../../store/store.ts";
import type { Core } from "./core.ts";

const pageSize = 50;
/** Few sessions share the beginning of their ids. */
const alikePageSize = 10;

/**
 * The records of a scope that name this user, page by page; the caller may remove them meanwhile.
 * @throws SessionError `session_unreadable` as {@link readablePages}
 */
export async function* recordPages(core: Core, tenant: string, user: string): AsyncGenerator<readonly SessionRecord[]> {
  yield* readablePages(core, { order: "recent", tenant, user, now: 0, limit: pageSize });
}

/**
 * Records page by page; the caller may remove them on the way.
 * @throws SessionError `session_unreadable` for a record that cannot be read, once all pages with readable ones were passed on
 */
export async function* readablePages(core: Core, query: SessionQuery): AsyncGenerator<readonly SessionRecord[]> {
  let failure: SessionError | undefined;
  for await (const { records, unreadable } of eachPage((after) => core.store.find({ ...query, ...after }))) {
    failure ??= unreadable[0];
    if (records.length > 0) yield records;
  }
  if (failure !== undefined) throw failure;
}

/** The internal records of a scope that name this in the place of the agent. */
export async function* recordsOf(core: Core, tenant: string, agent: string): AsyncGenerator<SessionRecord, void, void> {
  const query = { order: "recent", tenant, agent, now: 0, limit: 50 } as const;
  for await (const { records } of eachPage((after) => core.store.find({ ...query, ...after }))) yield* records;
}

/** Sessions whose ids begin with this text and are longer, by id. */
export async function* sessionsBeginningWith(
  core: Core,
  tenant: string,
  beginning: string,
): AsyncGenerator<SessionRecord, void, void> {
  const query = { order: "key", tenant, now: 0, limit: alikePageSize } as const;
  const first = { after: encodeCursor([tenant, beginning]) };
  for await (const { records } of eachPage((after) => core.store.find({ ...query, ...after }), first)) {
    for (const record of records) {
      if (!record.id.startsWith(beginning)) return;
      yield record;
    }
  }
}

/** The session that cannot be read. */
export function keyOf({ details: { tenant, sessionId } }: SessionError<"session_unreadable">): SessionKey {
  return { tenant: tenant ?? "", id: sessionId };
}
