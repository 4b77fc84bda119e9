import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
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

test("what routes to an agent, and how long it keeps the floor, is read", () => {
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
  ["an empty file", "", 1, /the file ends where a value should be/],
  ["a missing comma", '{\n  "ceo": {}\n  "cto": {}\n}', 3, /a text where "," or "}" should be \(column 3\)/],
  ["a trailing comma", '{\n  "ceo": {},\n}', 3, /there is } where a name in double quotes should be \(column 1\)/],
  ["a name without quotes", "{\n ceo: {} }", 2, /there is ceo where a name/],
  ["single quotes", "{'ceo': {}}", 1, /there is 'ceo' where/],
  ["a comment", '{\n// no\n"ceo": {}}', 2, /there is \/\/ where/],
  ["a text that is not closed", '{"ceo": {"model": "m1}}', 1, /not closed or not escaped where a value/],
  ["a line break in a text", '{"ceo": {\n"instructions": "one\ntwo"}}', 2, /not closed or not escaped/],
  ["a number JSON does not know", '{"ceo": {"ttl": 01}}', 1, /where a value/],
  ["more after the end", "{}\n{}", 2, /there is { where the end of the file should be/],
  ["a file that ends early", '{\n"ceo": {\n', 3, /the file ends/],
  ["a list", "[]", 1, /expected an object of agents/],
  ["an agent that is a text", '{\n"ceo": "Lead."}', 2, /agent "ceo" is "Lead."; expected an object/],
  [
    "an unknown setting",
    '{"ceo": {\n"instruction": "x"}}',
    2,
    /no setting "instruction"; known: instructions, model, settings, window, ttl/,
  ],
  ["instructions that are a list", '{"ceo": {\n\n"instructions": []}}', 3, /is an array; expected a text/],
  ["an empty model", '{"ceo": {"model": " "}}', 1, /expected a text that is not empty/],
  ["a time that is none", '{"ceo": {\n"ttl": "tomorrow"}}', 2, /ttl of agent "ceo" is "tomorrow"/],
  ["a time that is null", '{"ceo": {"ttl": null}}', 1, /ttl of agent "ceo" is null/],
  ["a time of zero", '{"ceo": {"ttl": 0}}', 1, /expected a positive number/],
  ["a floor's time that is none", '{"ceo": {\n"handoffTtl": "soon"}}', 2, /handoffTtl of agent "ceo" is "soon"/],
  ["an empty description", '{"ceo": {"description": ""}}', 1, /description of agent "ceo" is ""; expected a text/],
  [
    "keywords in one text",
    '{"ceo": {\n"keywords": "a, b"}}',
    2,
    /keywords of agent "ceo" is "a, b"; expected an array/,
  ],
  ["a keyword that is a number", '{"ceo": {"keywords": ["a",\n1]}}', 2, /keywords of agent "ceo"\[1\] is 1; expected/],
  ["a default that is a text", '{"ceo": {\n"default": "yes"}}', 2, /default of agent "ceo" is "yes"; expected true/],
  ["a budget that is a number", '{"ceo": {\n"budget": 5}}', 2, /budget of agent "ceo" is 5; expected an object/],
  [
    "a budget in euros",
    '{"ceo": {\n"budget": {"euros": 5}}}',
    2,
    /budget of agent "ceo" is "euros"; expected one of tokens, turns/,
  ],
  ["a budget below nothing", '{"ceo": {"budget": {"tokens": -1}}}', 1, /budget of agent "ceo".tokens is -1/],
  ["an empty name", '{\n"": {}}', 2, /the agent's name "" is empty/],
  ["an agent named twice", '{"ceo": {},\n"ceo": {}}', 2, /"ceo" stands twice/],
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

test("what JSON.parse reads, the locating parser reads alike", () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom(0, 2), (text, indent) => {
      const value = JSON.parse(text) as unknown;
      assert.deepEqual(plainOf(parseLocatedJson(JSON.stringify(value, null, indent))), value);
    }),
  );
});

test("what JSON.parse refuses, the locating parser refuses", () => {
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
        read = /stands twice/.test(String(error));
      }
      assert.equal(read, accepted, text);
    }),
    { numRuns: 2000 },
  );
});
