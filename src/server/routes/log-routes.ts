/** Writes turns and named logs, looks at them, reads and follows named logs. */
import { z } from "zod";
import { SessionError } from "../../errors.ts";
import type { TailQuery } from "../../index.ts";
import { idInPath } from "../../protocol/schemas.ts";
import {
  entriesAnswer,
  logsAnswer,
  lookAnswer,
  outcomeAnswer,
  outcomesAnswer,
  writeBody,
  writesBody,
} from "../../protocol/write-schemas.ts";
import { wireEtag } from "../../protocol/wire.ts";
import { wireLook, wireOutcome, wireOutcomes, writeOfWire } from "../../protocol/written.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { keyCheck } from "../http/authority.ts";
import { addRoute, jsonAnswer } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";
import { entriesReply, type EntryQuery } from "../replies/log-entries.ts";
import { ifMatch, ontoOf } from "../replies/request-headers.ts";
import { eventStream } from "../streams/event-stream.ts";
import { followedLog, guardReceived, parseEntryId } from "../streams/followed-log.ts";

/** A log in a path. The library checks its name and reports why it is invalid. */
const logInPath: z.ZodType<{ id: string; name: string }> = z.object({
  id: z.string().min(1).max(4096),
  name: z.string().min(1).max(4096),
});

const seq = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const someKey = z.string().max(4096);

const entryQuery: z.ZodType<EntryQuery> = z.object({
  from: seq.optional().meta({ description: "the first number" }),
  to: seq.optional().meta({ description: "the last number" }),
  last: seq.optional().meta({ description: "the last so many; later pages have after without last" }),
  key: z.array(someKey).max(100).optional().meta({ description: "a key, several times: the entries with these keys" }),
  fromKey: someKey.optional().meta({ description: "the first key, by code point" }),
  toKey: someKey.optional().meta({ description: "the key that ends the range, not included" }),
  prefix: someKey.optional().meta({ description: "the entries whose keys begin with this" }),
  order: z.enum(["ascending", "descending"]).default("ascending").meta({
    description: "of the numbers, or of the keys of a range; entries of keys have the order of the keys",
  }),
  limit: z.coerce.number().int().min(1).max(500).default(500),
  after: z.string().max(4096).optional().meta({ description: "next of the page before" }),
});

export function addLogRoutes(shared: Shared): void {
  addWriteRoutes(shared);
  addReadRoutes(shared);
}

function addWriteRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/write",
      summary:
        "Write turns, entries of named logs and fields of a session in one commit; with If-Match, only if neither the turns nor these logs changed since",
      scope: "write",
      headers: ["If-Match"],
      params: idInPath,
      body: writeBody,
      answers: { 200: { description: "what was written, or the entry that has a key already", schema: outcomeAnswer } },
    },
    async (c, { params, body: { seen, onto, ...write } }) => {
      const decided = ontoOf(c, onto);
      const session = await c.get("sessions").get(params.id, seen === undefined ? ifMatch(c) : { seen });
      const outcome = await session.write({ ...writeOfWire(write), ...decided });
      // A client that has not seen turns of others must read them first.
      if (session.hasSeenAll) c.header("etag", wireEtag(session.info));
      return jsonAnswer(c, wireOutcome(outcome));
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/write",
      summary: "Write to several sessions in one commit: all of it, or nothing",
      scope: "write",
      body: writesBody,
      answers: {
        200: { description: "what was written, or the entry that has a key already", schema: outcomesAnswer },
      },
    },
    async (c, { body: { writes } }) => {
      const many = writes.map(({ id, ...write }) => ({ id, ...writeOfWire(write) }));
      return jsonAnswer(c, wireOutcomes(await c.get("sessions").write(many)));
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/look",
      summary:
        "Get a session and the last entries of some logs, from one moment; pass version and marks as onto of a write",
      scope: "read",
      params: idInPath,
      query: z.object({
        tails: z.string().max(4096).optional().meta({
          description: "names of logs and numbers of entries, as in turns:2,facts:10",
        }),
      }),
      answers: { 200: { description: "the session, the entries, the marks of the logs", schema: lookAnswer } },
    },
    async (c, { params, query }) => {
      const tails = parseTails(query.tails);
      const session = await c.get("sessions").get(params.id);
      const look = await session.look(tails);
      c.header("etag", wireEtag(look.info));
      return jsonAnswer(
        c,
        wireLook(
          look,
          tails.map(({ log }) => log),
        ),
      );
    },
  );
}

/** @throws SessionError `request_invalid`; the library checks the names */
function parseTails(text: string | undefined): readonly TailQuery[] {
  if (text === undefined || text === "") return [];
  return text.split(",").map((tail) => {
    const [, log = "", last = ""] = /^([^:]*):(\d{1,9})$/.exec(tail) ?? [];
    if (last !== "") return { log, last: Number(last) };
    throw new SessionError("request_invalid", { path: "query.tails", value: formatValue(tail), expected: "log_tail" });
  });
}

function addReadRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/logs",
      summary: "List the named logs of a session",
      scope: "read",
      params: idInPath,
      answers: { 200: { description: "the logs, and the number of the last entry of each", schema: logsAnswer } },
    },
    async (c, { params }) => {
      const { logs } = (await c.get("sessions").get(params.id)).info;
      return jsonAnswer(c, { items: Object.entries(logs).map(([name, { end }]) => ({ name, end })) });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/logs/{name}",
      summary:
        "Get entries of a named log by number, by keys, by a range of keys or by a prefix; at most 500 entries or 1 MiB",
      scope: "read",
      params: logInPath,
      query: entryQuery,
      repeated: ["key"],
      answers: { 200: { description: "a page of entries", schema: entriesAnswer } },
    },
    async (c, { params: { id, name }, query }) =>
      await entriesReply(c, await c.get("sessions").get(id), { name, query }),
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/logs/{name}/follow",
      summary: "Stream the entries of a named log, also those written later; Last-Event-ID resumes a broken stream",
      scope: "read",
      headers: ["Last-Event-ID"],
      params: logInPath,
      query: z.object({ after: seq.default(0).meta({ description: "the number of an entry" }) }),
      answers: { 200: { description: "the entries, then done once the session has ended", streams: true } },
    },
    async (c, { params: { id, name }, query: { after } }) => {
      const lost = c.req.header("last-event-id");
      const session = await c.get("sessions").get(id);
      const followed = {
        name: session.log(name).name,
        after,
        received: lost === undefined ? undefined : parseEntryId(lost),
      };
      guardReceived(session, followed);
      return eventStream(c, (reader) => followedLog(session, followed, reader), {
        stop: shared.stop,
        admitted: keyCheck(c, shared.keys),
      });
    },
  );
}
