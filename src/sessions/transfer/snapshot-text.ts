import { hash } from "node:crypto";
import { encode } from "../../domain/values/codec.ts";
import type { Entry } from "../../domain/record/entry.ts";
import type { Portable, PortableRecord } from "../../domain/copies/snapshot.ts";

/** The format that is written; a reader knows it and all earlier ones. */
export const snapshotFormat = "perdure.session/1";

/** An entry of a log as a snapshot has it. */
export interface SnapshotEntry {
  readonly seq: number;
  readonly key: string | null;
  /** Epoch ms. */
  readonly at: number;
  /** The entry's value; what JSON cannot say is tagged with `$type`. */
  readonly data: unknown;
}

/**
 * One session as a document of its own: everything that is needed to go on with it elsewhere, and no secrets. It is plain
 * JSON, and `JSON.stringify` of it is the same bytes for the same session, whichever store it comes from.
 */
export interface SessionSnapshot {
  readonly format: typeof snapshotFormat;
  readonly session: Omit<PortableRecord, "metadata"> & { readonly metadata: unknown };
  /** By name; logs that hold nothing are left out. */
  readonly logs: { readonly [log: string]: readonly SnapshotEntry[] };
  /** `sha256:` and the hash of the same document without this field, in hexadecimal. */
  readonly checksum: string;
}

/** The text of a snapshot, always the same for the same session, and its checksum. */
export function snapshotText({ record, logs }: Portable): { readonly text: string; readonly checksum: string } {
  const names = [...logs.keys()].filter((name) => (logs.get(name)?.length ?? 0) > 0).sort();
  const members = names.map((name) => `${JSON.stringify(name)}:[${(logs.get(name) ?? []).map(entryText).join(",")}]`);
  const body = `{"format":"${snapshotFormat}","session":${encode(record, "session")},"logs":{${members.join(",")}}`;
  const checksum = `sha256:${hash("sha256", `${body}}`, "hex")}`;
  return { text: `${body},"checksum":"${checksum}"}`, checksum };
}

/** The data is JSON already, as the codec made it: it goes in as it is. */
function entryText({ seq, key, at, data }: Entry): string {
  return `{"seq":${seq},"key":${key === null ? "null" : JSON.stringify(key)},"at":${at},"data":${data}}`;
}
