/** Measures the size of archives beside the rows that they replace, in a file of SQLite, and the time to make them. */
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, brotliDecompress } from "node:zlib";
import { readConversations } from "../src/adapters/replay.ts";
import type { Entry } from "../src/domain/record/entry.ts";
import { defined } from "../src/domain/values/defined.ts";
import type { Session, Sessions } from "../src/index.ts";
import { packedIn, packPart, unpackPart } from "../src/sessions/archive/archive-text.ts";
import { alternate, type Measure } from "./measure.ts";
import { turn } from "./workload.ts";

const conversations =
  process.env["PERDURE_CONVERSATIONS"] || fileURLToPath(new URL("../examples/conversations", import.meta.url));

const compress = promisify(brotliCompress);
const decompress = promisify(brotliDecompress);

/** Real conversations, each archived as a session. */
export async function archives(sessions: Sessions, file: string): Promise<readonly Measure[]> {
  const apart: { readonly source: string; readonly session: Session }[] = [];
  const joined = await sessions.create();
  let count = 0;
  for (const { source, instructions, exchanges } of await readConversations(conversations)) {
    const session = await sessions.create(defined({ instructions }));
    for (const { input, output } of exchanges) {
      const one = { ...turn, ...costOf(count++), input, output };
      await session.append(one);
      await joined.append(one);
    }
    apart.push({ source: source ?? "examples", session });
  }
  const database = new DatabaseSync(file, { readOnly: true });
  const all = apart.map(({ session }) => session);
  const texts = all.map((session) => rowsOf(database, session));
  const before = new Map([...all, joined].map((session) => [session, sizeOf(database, session)]));
  const begun = performance.now();
  for (const session of all) await session.archive();
  const ms = performance.now() - begun;
  await joined.archive();
  const after = new Map([...all, joined].map((session) => [session, sizeOf(database, session)]));
  database.close();
  const smaller = (what: string, of: readonly Session[], part: "logs" | "whole" = "logs"): Measure => {
    const [ours, limit] = [after, before].map((sizes) =>
      of.reduce((sum, one) => sum + (sizes.get(one)?.[part] ?? 0), 0),
    );
    if (ours === undefined || limit === undefined) throw new Error("sizes are missing");
    const value = limit / ours;
    return { name: what, unit: "bytes", ours, limit, limitName: "before", value, valueUnit: "times" };
  };
  const bar = { atLeast: 4 };
  return [
    { ...smaller(`archive ${all.length} real conversations, each for itself`, all), bar },
    ...Object.entries(Object.groupBy(apart, ({ source }) => source)).map(([source, of = []]) =>
      smaller(
        `of these, ${of.length} of ${source}`,
        of.map(({ session }) => session),
      ),
    ),
    { ...smaller("archive them as one long session", [joined]), bar },
    smaller("all that the sessions are in the store: records, events, sums", all, "whole"),
    {
      name: "archive a real conversation, mean",
      unit: "µs",
      ours: (ms * 1000) / apart.length,
      value: ms / apart.length,
      valueUnit: "ms",
    },
    ...(await efforts(texts)),
  ];
}

/** No two turns cost the same. */
function costOf(count: number): Pick<typeof turn, "usage" | "durationMs"> {
  const inputTokens = 100 + ((count * 7919) % 2900);
  const outputTokens = 20 + ((count * 6971) % 480);
  const usage = { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens };
  return { usage, durationMs: 400 + ((count * 7727) % 7600) };
}

/** The bytes of the rows to archive or of their archives, and of all rows; names and numbers of rows do not count. */
function sizeOf(database: DatabaseSync, { id }: Session): { readonly logs: number; readonly whole: number } {
  const size = "octet_length(entry.data) + coalesce(length(entry.bytes), 0)";
  const row = database
    .prepare(
      `select octet_length(session.data) as record, sum(${size}) as entries,
         sum(case when entry.log in ('turns', 'instructions', 'archive') then ${size} end) as logs
       from sessions session join entries entry on entry.session = session.no where session.id = ?`,
    )
    .get(id);
  return { logs: Number(row?.["logs"]), whole: Number(row?.["record"]) + Number(row?.["entries"]) };
}

function rowsOf(database: DatabaseSync, { id }: Session): readonly Entry[] {
  return database
    .prepare(
      `select seq, key, at, data from entries where session = (select no from sessions where id = ?) and log = 'turns'`,
    )
    .all(id) as unknown as Entry[];
}

/** The same conversations, packed and unpacked one by one, without a store. */
async function efforts(conversations: readonly (readonly Entry[])[]): Promise<readonly Measure[]> {
  const texts = conversations.map((entries) => Buffer.from(entries.map(({ data }) => data).join("\n")));
  const megabytes = texts.reduce((sum, text) => sum + text.length, 0) / 1e6;
  const sections = conversations.map((entries) => [{ log: "turns", from: 1, to: entries.length, entries }]);
  const packed = await Promise.all(sections.map((one) => packPart(one)));
  const compressed = await Promise.all(texts.map((text) => compress(text)));
  const perMegabyte = async <T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<number> => {
    const begun = performance.now();
    for (const item of items) await work(item);
    return (performance.now() - begun) / megabytes;
  };
  const measure = (name: string, { ours, limit, ratio }: Awaited<ReturnType<typeof alternate>>): Measure => {
    return { name, unit: "ms", ours, limit, limitName: "brotli alone", value: ratio, valueUnit: "times" };
  };
  return [
    measure(
      "pack a MB of conversations, one by one",
      await alternate(5, {
        ours: () => perMegabyte(sections, (one) => packPart(one)),
        limit: () => perMegabyte(texts, (text) => compress(text)),
      }),
    ),
    measure(
      "unpack a MB of conversations, one by one",
      await alternate(5, {
        ours: () =>
          perMegabyte(packed, async ({ packed: bytes, sha256, bytes: size }) => {
            const found = packedIn(bytes);
            if (found === undefined || (await unpackPart(found, sha256, size)) === undefined)
              throw new Error("what was packed is not unpacked");
          }),
        limit: () => perMegabyte(compressed, (bytes) => decompress(bytes)),
      }),
    ),
  ];
}
