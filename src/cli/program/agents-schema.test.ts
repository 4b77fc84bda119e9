import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../../test/support/fast-check.ts";
import { hasCode } from "../../errors.ts";
import { parseAgentsFile } from "./agents-schema.ts";
import { parseLocatedJson, type LocatedValue } from "../../sessions/snapshots/located-json.ts";

test("an agents file is read, in its order", () => {
  const agents = parseAgentsFile(
    '{"ceo":{"instructions":"Lead.","model":"m1","ttl":"1h"},"cto":{"ttl":5000}}',
    "a.json",
  );
  assert.deepEqual(Object.entries(agents), [
    ["ceo", { instructions: "Lead.", model: "m1", ttl: "1h" }],
    ["cto", { ttl: 5000 }],
  ]);
});

test("an agents file may have an agent's description, keywords and time of a handoff", () => {
  const agent = { description: "Money.", keywords: ["invoice", "refund"], default: true, handoffTtl: "7d" };
  assert.deepEqual(parseAgentsFile(JSON.stringify({ billing: agent }), "a.json"), { billing: agent });
});

test("names such as __proto__ and constructor are ordinary names", () => {
  const agents = parseAgentsFile('\uFEFF{"__proto__":{"model":"m1"},"constructor":{"model":"m2"}}', "a.json");
  assert.deepEqual(Object.keys(agents), ["__proto__", "constructor"]);
  assert.equal(Object.getOwnPropertyDescriptor(agents, "__proto__")?.value.model, "m1");
  assert.equal(Object.getPrototypeOf(agents), Object.prototype);
});

const broken: readonly (readonly [title: string, text: string, line: number, says: RegExp])[] = [
  ["an empty file", "", 1, /found the end of the file, expected a value/],
  ["a missing comma", '{\n  "ceo": {}\n  "cto": {}\n}', 3, /3:3: .*found a text, expected "," or "}"/],
  ["a trailing comma", '{\n  "ceo": {},\n}', 3, /3:1: .*found }, expected a name in double quotes/],
  ["a name without quotes", "{\n ceo: {} }", 2, /found ceo, expected a name/],
  ["single quotes", "{'ceo': {}}", 1, /found 'ceo', expected/],
  ["a comment", '{\n// no\n"ceo": {}}', 2, /found \/\/, expected/],
  ["a text that is not closed", '{"ceo": {"model": "m1}}', 1, /not closed or not escaped, expected a value/],
  ["a line break in a text", '{"ceo": {\n"instructions": "one\ntwo"}}', 2, /not closed or not escaped/],
  ["a number JSON does not know", '{"ceo": {"ttl": 01}}', 1, /expected a value/],
  ["more after the end", "{}\n{}", 2, /found {, expected the end of the file/],
  ["a file that ends early", '{\n"ceo": {\n', 3, /found the end of the file/],
  ["a list", "[]", 1, /expected an object of agents/],
  ["an agent that is a text", '{\n"ceo": "Lead."}', 2, /ceo is "Lead\."; expected an object/],
  [
    "an unknown setting",
    '{"ceo": {\n"instruction": "x"}}',
    2,
    /ceo\.instruction is no setting; the settings are instructions, model, settings, window, compaction, ttl/,
  ],
  ["instructions that are a list", '{"ceo": {\n\n"instructions": []}}', 3, /is an array; expected a text/],
  ["an empty model", '{"ceo": {"model": " "}}', 1, /expected a text that is not empty/],
  ["a time that is none", '{"ceo": {\n"ttl": "tomorrow"}}', 2, /ceo\.ttl is "tomorrow"/],
  ["a time that is null", '{"ceo": {"ttl": null}}', 1, /ceo\.ttl is null/],
  ["a time of zero", '{"ceo": {"ttl": 0}}', 1, /expected a positive number/],
  ["a floor's time that is none", '{"ceo": {\n"handoffTtl": "soon"}}', 2, /ceo\.handoffTtl is "soon"/],
  ["an empty description", '{"ceo": {"description": ""}}', 1, /ceo\.description is ""; expected a text/],
  ["keywords in one text", '{"ceo": {\n"keywords": "a, b"}}', 2, /ceo\.keywords is "a, b"; expected an array/],
  ["a keyword that is a number", '{"ceo": {"keywords": ["a",\n1]}}', 2, /ceo\.keywords\[1\] is 1; expected/],
  ["a default that is a text", '{"ceo": {\n"default": "yes"}}', 2, /ceo\.default is "yes"; expected true/],
  ["a budget that is a number", '{"ceo": {\n"budget": 5}}', 2, /ceo\.budget is 5; expected an object/],
  [
    "a budget in euros",
    '{"ceo": {\n"budget": {"euros": 5}}}',
    2,
    /ceo\.budget is "euros"; expected one of tokens, turns/,
  ],
  ["a budget below nothing", '{"ceo": {"budget": {"tokens": -1}}}', 1, /ceo\.budget\.tokens is -1/],
  ["an empty name", '{\n"": {}}', 2, /agent is ""; expected a text of 1 to 256 characters/],
  ["an agent named twice", '{"ceo": {},\n"ceo": {}}', 2, /"ceo" occurs twice/],
  ["endless nesting", "[".repeat(100_000), 1, /nested deeper/],
];

for (const [title, text, line, says] of broken) {
  test(`${title} is an error that names the line`, () => {
    assert.throws(
      () => parseAgentsFile(text, "a.json"),
      (error) => {
        assert.ok(hasCode(error, "agents_file_invalid"), String(error));
        assert.equal(error.details.file, "a.json");
        assert.equal(error.details.line, line);
        assert.match(error.message, says);
        return true;
      },
    );
  });
}

function plainOf(value: LocatedValue): unknown {
  if (value.kind === "plain") return value.value;
  if (value.kind === "array") return value.items.map(plainOf);
  return Object.fromEntries([...value.members].map(([name, member]) => [name, plainOf(member.value)]));
}

test("the locating parser reads every text that JSON.parse reads, with the same result", () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom(0, 2), (text, indent) => {
      const value = JSON.parse(text) as unknown;
      assert.deepEqual(plainOf(parseLocatedJson(JSON.stringify(value, null, indent))), value);
    }),
  );
});

test("the locating parser refuses every text that JSON.parse refuses", () => {
  const pieces = fc.constantFrom(
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"a"',
    '"',
    "1",
    "-",
    ".5",
    "1e3",
    "true",
    "nul",
    " ",
    "\n",
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
      const text = parts.join("");
      let accepted = true;
      try {
        JSON.parse(text);
      } catch {
        accepted = false;
      }
      let read = true;
      try {
        parseLocatedJson(text);
      } catch (error) {
        read = /occurs twice/.test(String(error));
      }
      assert.equal(read, accepted, text);
    }),
    { numRuns: 2000 },
  );
});
