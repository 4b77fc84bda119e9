import { createHash } from "node:crypto";
import { encode } from "../../domain/values/codec.ts";
import type { Entry, LogName } from "../../domain/record/entry.ts";
import type { Portable, PortableRecord } from "../../domain/copies/snapshot.ts";

/** The format that is written; a reader knows it and all earlier ones. */
export const snapshotFormat = "perdure.session/1";

/** An entry of a log in a snapshot. */
export interface SnapshotEntry {
  readonly seq: number;
  readonly key: string | null;
  /** Epoch ms. */
  readonly at: number;
  /** The entry's value; what JSON cannot express is tagged with `$type`. */
  readonly data: unknown;
}

/**
 * One session as a document: everything that another store needs to continue it, and no secrets. It is plain JSON, and
 * `JSON.stringify` of it is the same bytes for the same session, whichever store it comes from.
 */
export interface SessionSnapshot {
  readonly format: typeof snapshotFormat;
  readonly session: Omit<PortableRecord, "metadata"> & { readonly metadata: unknown };
  /** By name; empty logs are left out. */
  readonly logs: { readonly [log: string]: readonly SnapshotEntry[] };
  /** `sha256:` and the hash of the same document without this field, in hexadecimal. */
  readonly checksum: string;
  /** When a file was written, epoch ms; absent in what `sessions.snapshot` returns, and no part of the checksum. */
  readonly savedAt?: number;
}

/** The text of a snapshot, which is always the same for the same session, and its checksum. */
export function snapshotText({ record, logs }: Portable): { readonly text: string; readonly checksum: string } {
  const writer = new SnapshotWriter(record);
  let text = writer.beginning;
  for (const log of snapshotOrder(logs.keys()))
    for (const entry of logs.get(log) ?? []) text += writer.entry(log, entryText(entry));
  const { ending, checksum } = writer.end();
  return { text: text + ending, checksum };
}

/** The names of logs in the order in which a snapshot has them. */
export function snapshotOrder(names: Iterable<LogName>): readonly LogName[] {
  return [...names].sort();
}

/** The text of an entry in a snapshot. The data is JSON of the codec already. */
export function entryText({ seq, key, at, data }: Entry): string {
  return `{"seq":${seq},"key":${key === null ? "null" : JSON.stringify(key)},"at":${at},"data":${data}}`;
}

/** Writes the text of a snapshot in pieces, and its checksum. Logs come in {@link snapshotOrder}. */
export class SnapshotWriter {
  readonly beginning: string;
  readonly #hash = createHash("sha256");
  #log: LogName | undefined;

  constructor(record: PortableRecord) {
    this.beginning = `{"format":"${snapshotFormat}","session":${encode(record, "session")},"logs":{`;
    this.#hash.update(this.beginning);
  }

  /** The next entry of a log, as its text. */
  entry(log: LogName, text: string): string {
    const first = `${this.#log === undefined ? "" : "],"}${JSON.stringify(log)}:[`;
    const piece = `${log === this.#log ? "," : first}${text}`;
    this.#log = log;
    this.#hash.update(piece);
    return piece;
  }

  end(): { readonly ending: string; readonly checksum: string } {
    const ending = this.#log === undefined ? "}" : "]}";
    const checksum = `sha256:${this.#hash.update(`${ending}}`).digest("hex")}`;
    return { ending: `${ending},"checksum":"${checksum}"}`, checksum };
  }
}
