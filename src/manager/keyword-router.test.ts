import assert from "node:assert/strict";
import { test } from "node:test";
import type { Agent } from "../sessions/options/options.ts";
import { routeByKeywords } from "./keyword-router.ts";
import { routedText, type RouterContext } from "./router.ts";

function route(agents: Readonly<Record<string, Agent>>, text: string): unknown {
  const known = new Map(Object.entries(agents));
  return routeByKeywords()(text, { agents: known } as unknown as RouterContext);
}

const office: Readonly<Record<string, Agent>> = {
  billing: { keywords: ["invoice", "Überweisung", "credit note"], description: "Questions about payments and refunds" },
  scheduling: { keywords: ["date", "rendez-vous", "予約"], description: "Questions about appointments" },
  smalltalk: { keywords: ["🍕", "STRASSE", "Σίσυφος", "naïve"] },
};

for (const [text, agent] of [
  ["my INVOICE, please", "billing"],
  ["un rendez-vous demain", "scheduling"],
  ["eine uberweisung?", "billing"],
  ["wo ist die Straße", "smalltalk"],
  ["ΣΊΣΥΦΟΣ", "smalltalk"],
  ["so nai\u0308ve", "smalltalk"],
  ["明日の予約をお願いします", "scheduling"],
  ["🍕!", "smalltalk"],
  ["a credit\nnote", "billing"],
  ["credit where due; note it", null],
  ["keep me updated", null],
  ["outdated invoices", null],
  ["what about payments", "billing"],
  ["questions about", null],
  ["payments on a date", "scheduling"],
  ["a date for the credit note", "billing"],
  ["the date of the invoice", "billing"],
  ["", null],
] as const) {
  test(`${JSON.stringify(text)} goes to ${agent ?? "no agent"}`, () => assert.equal(route(office, text), agent));
}

test("keywords without any word route to no agent", () => {
  assert.equal(route({ a: { keywords: ["...", "  "] } }, "what ... now"), null);
});

test("the earlier agent wins a tie, and a repeated keyword counts once", () => {
  const twice = { a: { keywords: ["x"] }, b: { keywords: ["y", "Y", "ý"] } };
  assert.equal(route(twice, "y y x"), "a");
});

test("a router uses the agents of each call", () => {
  const router = routeByKeywords();
  const first = new Map([["a", { keywords: ["x"] }]]);
  const second = new Map([["b", { keywords: ["x"] }]]);
  assert.equal(router("x", { agents: first } as unknown as RouterContext), "a");
  assert.equal(router("x", { agents: second } as unknown as RouterContext), "b");
});

test("a message is routed by its user's text, up to a limit", () => {
  const picture = { type: "image_url", image_url: { url: "data:" } };
  const text = routedText([
    { role: "system", content: "not this" },
    { role: "user", content: [{ type: "text", text: "this" }, picture, null] },
    { role: "user", content: "and this" },
    { role: "user" },
  ]);
  assert.equal(text, "this\nand this");
  assert.equal(routedText([{ role: "user", content: "x".repeat(1_000_000) }]).length, 20_000);
});
