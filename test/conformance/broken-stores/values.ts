/** Stores that do not keep values or ids as they are. */
import { decode, encode } from "../../../src/domain/values/codec.ts";
import type { SessionRecord } from "../../../src/domain/record/record.ts";
import { type NamedBreakage, mapRecords, mapData, mapSessionKeys, mapKeys, mapTenants } from "./breakage.ts";

export const valueBreakages: readonly NamedBreakage[] = [
  ["does not tell upper from lower case", "values-are-kept: ids", mapKeys((text) => text.toLowerCase())],
  ["trims blanks", "values-are-kept: ids", mapKeys((text) => text.trimEnd())],
  ["normalises ids", "values-are-kept: ids", mapKeys((text) => text.normalize())],
  ["does not tell tenants apart", "scope-is-in-the-key: the same id in two", mapTenants(() => "one")],
  [
    "joins tenant and id by a slash",
    "scope-is-in-the-key: no separator",
    mapSessionKeys(({ tenant, id }) => ({ tenant: "one", id: `${tenant}/${id}` })),
  ],
  [
    "sorts the keys of data",
    "values-are-kept: the order of keys",
    mapData((text) => JSON.stringify(sorted(JSON.parse(text)))),
  ],
  ["loses what follows U+0000", "values-are-kept: U+0000", mapData((text) => text.replaceAll("\\u0000", ""))],
  [
    "replaces halves of surrogate pairs",
    "values-are-kept: halves",
    mapData((text) => text.replaceAll(/\\ud[89a-f]../g, "\ufffd")),
  ],
  ["cuts long texts", "values-are-kept: a text of a megabyte", mapData((text) => text.slice(0, 1_000_000))],
  [
    "loses the negative zero of records",
    "values-are-kept: negative zero",
    mapRecords((record) => ({ ...record, metadata: positive(record.metadata) })),
  ],
  [
    "keeps numbers of 32 bits",
    "values-are-kept: every field",
    mapRecords((record) => ({ ...record, fence: record.fence | 0 })),
  ],
  ["loses the queue of a record", "values-are-kept: every field", mapRecords((record) => ({ ...record, waiters: [] }))],
];

/** With the keys of objects in the order of the alphabet. */
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}

function positive(metadata: SessionRecord["metadata"]): SessionRecord["metadata"] {
  return decode(encode(metadata).replaceAll('{"$type":"number","value":"-0"}', "0")) as SessionRecord["metadata"];
}
