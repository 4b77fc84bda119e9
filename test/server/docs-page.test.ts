/** The API page: its document, and the page in a browser. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { docsPage } from "../../src/server/http/docs-page.ts";
import { listen } from "../../src/server/index.ts";
import { exampleOf, fieldsOf, limitsOf, typeOf } from "../../src/studio/page/reference/schema.ts";
import { browser, noBrowser } from "../studio/browser.ts";
import { standaloneFolder } from "../studio/built-page.ts";
import { isThorough } from "../support/rounds.ts";
import { serve } from "./serving.ts";

test("schemas are shown by type, limits, fields and an example", () => {
  const text = { type: "string", minLength: 1, maxLength: 40 };
  const count = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
  const budget = { type: "object", properties: { turns: count, note: text }, required: ["turns"] };
  const schemas = { Budget: budget };
  for (const [schema, type, limits, example] of [
    [text, "text", ["1–40 characters"], "…"],
    [count, "integer", ["at least 0"], 1],
    [{ type: ["string", "null"], maxLength: 3 }, "text or null", ["at most 3 characters"], "…"],
    [{ anyOf: [text, { type: "number" }], examples: ["30d"] }, "text or number", ["1–40 characters"], "30d"],
    [{ enum: ["a", "b"], default: "b" }, '"a" | "b"', ['default "b"'], "b"],
    [
      { type: "array", items: { $ref: "#/c/Budget" }, maxItems: 2 },
      "list of Budget",
      ["at most 2 entries"],
      [{ turns: 1 }],
    ],
    [{ type: "object", additionalProperties: text }, "object of text", [], {}],
    [{}, "any JSON", [], "…"],
  ] as const)
    assert.deepEqual([typeOf(schema), limitsOf(schema), exampleOf(schema, schemas)], [type, limits, example]);
  const fields = fieldsOf({ anyOf: [{ type: "array", items: budget }, { type: "null" }] });
  assert.deepEqual(
    fields.map((choice) => choice.map(({ name, isRequired }) => [name, isRequired])),
    [
      [
        ["turns", true],
        ["note", false],
      ],
    ],
  );
  // A schema that holds itself has an end.
  assert.match(JSON.stringify(exampleOf({ $ref: "#/c/Tree" }, { Tree: tree })), /^\{"tree":/);
});

const tree = { type: "object", properties: { tree: { $ref: "#/c/Tree" } }, required: ["tree"] };
const axe = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");

test(
  "the API page finds an operation by its words, shows its fields and its command, and loads nothing",
  { skip: noBrowser },
  async (t) => {
    await using here = serve();
    const document = (await here.call("GET", "/openapi.json")).json as { paths: Record<string, object> };
    const { html, policy } = docsPage(document, await standaloneFolder()) ?? assert.fail();
    assert.match(policy, /^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'; /);
    assert(gzipSync(html).length < 100_000);
    const fetch = async (): Promise<Response> =>
      new Response(html, { headers: { "content-type": "text/html", "content-security-policy": policy } });
    const listening = await listen({ fetch, drain: () => undefined, stop: async () => undefined }, { port: 0 });
    t.after(async () => await listening.close(0));
    const faults: string[] = [];
    for (const [width, colorScheme] of isThorough
      ? ([
          [390, "dark"],
          [1024, "light"],
          [1440, "dark"],
        ] as const)
      : ([[1440, "light"]] as const)) {
      // axe runs as a script of the test, which the policy of the page would refuse.
      const context = await (
        await browser()
      ).newContext({ viewport: { width, height: 844 }, colorScheme, bypassCSP: true });
      const page = await context.newPage();
      page.on(
        "request",
        (request) => void (request.url().startsWith(`${listening.url}/docs`) || faults.push(request.url())),
      );
      page.on("pageerror", (error) => faults.push(String(error)));
      await page.goto(`${listening.url}/docs#post-v1-sessions-id-fork`);
      await page.locator("#post-v1-sessions-id-fork:focus").waitFor();
      assert.equal(
        await page.locator(".operation[id^=get], .operation[id^=p], .operation[id^=delete]").count(),
        Object.values(document.paths).reduce((sum, methods) => sum + Object.keys(methods).length, 0),
      );
      await page.keyboard.press("/");
      await page.keyboard.type("create session maxage");
      await page.keyboard.press("Enter");
      const section = page.locator("#post-v1-sessions:focus");
      await section.waitFor();
      const shown = (await section.textContent()) ?? "";
      for (const part of [
        "POST",
        "/v1/sessions",
        "labels",
        "1–256 characters",
        `"${listening.url}/v1/sessions"`,
        "$PERDURE_KEY",
      ])
        assert(shown.includes(part), part);
      await page.keyboard.press("Escape");
      await page.keyboard.press("j");
      await page.waitForURL(/#get-v1-sessions$/);
      await page.locator("#get-v1-sessions:focus").waitFor();
      const over = await page.evaluate<number>("document.documentElement.scrollWidth - innerWidth");
      assert(over <= 0, `${over} pixels wider than ${width}`);
      // axe looks at some operations: those of the whole interface take it a quarter of a minute.
      await page.keyboard.press("/");
      await page.keyboard.type("attachments");
      await page.locator("#post-v1-sessions").waitFor({ state: "detached" });
      await page.evaluate(axe);
      const found = await page.evaluate<string[]>(
        `axe.run().then(({ violations }) => violations
          .filter(({ impact }) => impact === "serious" || impact === "critical")
          .map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html.slice(0, 160)).slice(0, 3).join(" ")))`,
      );
      assert.deepEqual([...faults, ...found], [], `at ${width}`);
      await context.close();
    }
  },
);
