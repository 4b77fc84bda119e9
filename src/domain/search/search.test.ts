import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "../values/codec.ts";
import { matchesTerms, parseSearch } from "./search-terms.ts";
import { searchedMessages } from "./searched-messages.ts";
import { snippetCharactersMax, snippetOf } from "./snippet.ts";
import { searchedCharactersMax, spacedWords, wordsOf } from "./words.ts";

function isFound(query: string, text: string): boolean {
  return matchesTerms(parseSearch(query), text);
}

/** The text with its marks in brackets. */
function marked(query: string, text: string): string {
  const { text: shown, marks } = snippetOf(parseSearch(query), text);
  return marks.toReversed().reduce((rest, [from, to]) => {
    return `${rest.slice(0, from)}[${rest.slice(from, to)}]${rest.slice(to)}`;
  }, shown);
}

test("words do not depend on case, diacritics, composed forms and punctuation", () => {
  assert.deepEqual([...wordsOf("Crème-BRÛLÉE, 2 x!")], ["creme", "brulee", "2", "x"]);
  assert.deepEqual(wordsOf("cre\u0300me"), wordsOf("crème"));
  assert.deepEqual([...wordsOf("ﬁn ⑴ Ｆ")], ["fin", "1", "f"]);
  assert.deepEqual([...wordsOf("हिन्दी русский")], ["हिन्दी", "русскии"]);
  assert.deepEqual([...wordsOf("\0 \ud800 '\"*:()")], []);
  assert.deepEqual([...wordsOf("a🍣b")], ["a", "🍣", "b"]);
});

test("a name in camel case is found by its parts, and a script without spaces by any of its characters", () => {
  assert.ok(isFound("user", "call getUserById(7)"));
  assert.ok(isFound("getuserbyid", "call getUserById(7)"));
  assert.ok(!isFound("ser", "call getUserById(7)"));
  for (const part of ["京", "北京", "京大", "北京大学"]) assert.ok(isFound(part, "他在北京大学"), part);
  assert.ok(!isFound("北京大学", "北京 京大 大学"), "its pairs stand apart");
  assert.ok(isFound("𠮷野", "𠮷野家"));
});

test("words with spaces between them are the words of the text", () => {
  const texts = [
    "",
    " - ",
    "One, one TWO_3.",
    "getUserById(7)",
    "ABc",
    "x".repeat(65),
    "Crème 北京大学",
    "a🍣b",
    `${"y ".repeat(60_000)}z`,
  ];
  for (const text of texts) {
    const spaced = spacedWords(text);
    assert.deepEqual(new Set(spaced === "" ? [] : spaced.split(" ")), wordsOf(text), text.slice(0, 80));
  }
});

test("all words, phrases in quotes and beginnings with a star have to be in one text", () => {
  assert.ok(isFound("two one", "one and two"));
  assert.ok(!isFound("one three", "one and two"));
  assert.ok(isFound('"And  Two"', "one and\ntwo"));
  assert.ok(!isFound('"two and"', "one and two"));
  assert.ok(isFound("hand*", "the handler"));
  assert.ok(!isFound("hand", "the handler"));
  assert.ok(isFound('unclosed "quote', "quote, unclosed"));
  for (const nothing of ["", " ", '""', "*", "-", '"*:()^{}', "\0"]) assert.ok(!isFound(nothing, nothing), nothing);
});

test("a query has a limit, and a text is searched up to one", () => {
  assert.ok(isFound("a ".repeat(500), "a"));
  assert.throws(() => parseSearch("a".repeat(1001)), { code: "argument_invalid" });
  assert.throws(() => parseSearch(7 as unknown as string), { code: "argument_invalid" });
  const long = `${"x ".repeat(searchedCharactersMax / 2)}behind`;
  assert.ok(!isFound("behind", long));
  assert.ok(isFound("y".repeat(70), "y".repeat(80)), "64 characters of a word count");
});

test("a snippet shows what was found, cut between whole characters", () => {
  assert.equal(marked("brulee", "une Crème Brûlée"), "une Crème [Brûlée]");
  assert.equal(marked('"of the"', "refund of  the invoice"), "refund [of  the] invoice");
  assert.equal(marked("大学", "北京大学的"), "北京[大学]的");
  assert.equal(marked("user", "getUserById"), "[getUserById]");
  assert.equal(marked("sess*", "two sessions"), "two [sessions]");
  const { text, marks } = snippetOf(parseSearch("needle"), `${"hay 🍣 ".repeat(200)}needle${" 🍣hay".repeat(200)}`);
  assert.ok(text.length <= snippetCharactersMax + 2);
  assert.ok(text.isWellFormed());
  assert.match(text, /^….*…$/s);
  assert.deepEqual(
    marks.map(([from, to]) => text.slice(from, to)),
    ["needle"],
  );
});

test("the messages of a turn have their texts, results of tools included, and calls left out", () => {
  const data = encode({
    status: "done",
    agent: "a",
    requests: 1,
    input: [{ role: "user", content: [{ type: "text", text: "parts of text" }] }],
    output: [
      { role: "assistant", content: null, tool_calls: [{ id: "1", function: { name: "f", arguments: "{}" } }] },
      { role: "tool", tool_call_id: "1", content: "a result" },
    ],
  });
  assert.deepEqual(searchedMessages({ seq: 1, at: 0, key: null, data }), [
    { message: 0, words: ["parts", "of", "text"] },
    { message: 2, words: ["a", "result"] },
  ]);
  assert.deepEqual(searchedMessages({ seq: 1, at: 0, key: null, data: "no turn" }), []);
});
