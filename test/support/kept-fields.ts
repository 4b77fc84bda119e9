/** No silent loss: every field of a file is in the session that it makes, or in the counts of what is left out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { exportSessions } from "../../src/admin.ts";
import { instantOf } from "../../src/imports/conversations/instants.ts";
import { importText } from "./import-text.ts";
import { inMemory } from "./in-memory.ts";

/** A file of a format, and what becomes of its fields. */
export interface Example {
  readonly format: string;
  /** The documents of a file, a line each. Texts and numbers differ from each other. */
  readonly lines: readonly object[];
  /** The beginnings of paths to fields that are in no session: what they repeat. */
  readonly copies?: Readonly<Record<string, string>>;
  /** The beginnings of paths to fields that are counted: the kind under which they are. */
  readonly counted?: Readonly<Record<string, string>>;
  /** Objects that get no further field: with one, they would be something else. */
  readonly closed?: readonly string[];
}

/** A copy in which each object has two more fields, each with a name and a text of its own. */
function withExtras(value: unknown, closed: readonly string[], path: readonly string[] = []): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item, index) => withExtras(item, closed, [...path, `${index}`]));
  const fields = Object.fromEntries(
    Object.entries(value).map(([name, field]) => [name, withExtras(field, closed, [...path, name])]),
  );
  if (closed.includes(path.join("."))) return fields;
  const number = `${++extras}`.padStart(4, "0");
  return { ...fields, [`extra`]: `+text${number}`, [`flag${number}`]: false };
}

let extras = 0;

/** The texts, numbers and flags of a value, by their paths. */
function scalarsIn(value: unknown, path: readonly string[] = []): readonly (readonly [path: string, value: unknown])[] {
  if (value === null || value === "") return [];
  if (typeof value !== "object") return [[path.join("."), value]];
  return Object.entries(value).flatMap(([name, field]) => scalarsIn(field, [...path, name]));
}

function isSaid(path: string, value: unknown, said: string): boolean {
  if (typeof value === "boolean") return said.includes(`"${path.split(".").at(-1)}":`);
  const at = instantOf(value);
  if (at !== undefined && said.includes(`${at}`)) return true;
  return typeof value === "number"
    ? new RegExp(`(?<![\\d.])${String(value).replace(".", "\\.")}(?![\\d.])`).test(said)
    : said.includes(JSON.stringify(value).slice(1, -1));
}

/** Define a test for each file: no field is lost without a word. */
export function testKeptFields(examples: readonly Example[]): void {
  for (const { format, lines, copies = {}, counted = {}, closed = [] } of examples)
    test(`a file of ${format} loses no field: it is in the session, or counted`, async () => {
      await using place = inMemory({ ttl: "never" });
      const isOne = lines.length === 1;
      const filled = lines.map((line, index) => withExtras(line, closed, isOne ? [] : [`${index}`]));
      const report = await importText(place.sessions, filled.map((line) => JSON.stringify(line)).join("\n"), {
        format,
      });
      assert.deepEqual([report.restored, report.reasons], [1, []]);
      let said = "";
      for await (const { text } of exportSessions(place.sessions)) said += text;
      const lost = scalarsIn(isOne ? filled[0] : filled).filter(([path, value]) => !isSaid(path, value, said));
      const begins = (path: string, names: object): string | undefined =>
        Object.keys(names).find(
          (name) => path === name || path.startsWith(name.endsWith("*") ? name.slice(0, -1) : `${name}.`),
        );
      const kinds = (path: string): string | undefined => counted[begins(path, counted) ?? ""];
      assert.deepEqual(
        lost.filter(([path]) => begins(path, copies) === undefined && kinds(path) === undefined),
        [],
      );
      for (const kind of Object.values(counted)) assert((report.leftOut[kind] ?? 0) > 0, kind);
    });
}
