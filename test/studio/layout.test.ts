/**
 * The layout of the studio at three widths, light and dark, beside the one that `layouts.txt` has. Compared are what is
 * visible, the order from top to bottom, left edges and widths, and colours: they do not depend on the fonts of the machine,
 * as pixels and heights of texts do. `PERDURE_WRITE_LAYOUTS=1` writes the file; look at the pages before.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { listen } from "../../src/server/index.ts";
import { loopbackOnly } from "../../src/studio/loopback.ts";
import { studioOf } from "../../src/studio/studio.ts";
import { isThorough } from "../support/rounds.ts";
import { browser, noBrowser, timeoutMs } from "./browser.ts";
import { builtPage } from "./built-page.ts";
import { demoStore } from "./demo-store.ts";

const file = new URL("layouts.txt", import.meta.url);
const isWriting = process.env["PERDURE_WRITE_LAYOUTS"] === "1";
const widths = [1440, 1024, 390] as const;

/** The pages, what shows that one is there, and its regions; a tilde marks those that are as wide as their text. */
const pages = {
  "/": ["a.row", ".side", ".bar", ".filters", ".row-head", ".rows", "a.row", "a.row .row-name", "~a.row .state"],
  "/sessions/support-42": [
    ".panel .labels",
    ".side",
    ".bar-session",
    ".tabs",
    ".turns",
    ".turn",
    "~.turn .said-input",
    ".turn .call",
    ".turn-foot",
    ".composer",
    "~.composer .button-main",
    ".panel",
    ".panel .facts",
    "~.tag-accent",
    "~.tag-good",
  ],
  "/sessions/support-42/timeline": [
    ".story-item",
    ".axis-box",
    ".story",
    ".story-item",
    "~.story-item > :nth-child(3)",
  ],
  "/sessions/refund-graph/checkpoints": [".checkpoints li", ".checkpoints", ".checkpoints summary", ".panel"],
  "/overview": [
    ".plot canvas",
    ".figures-row",
    ".figure",
    ".figure:nth-child(2)",
    ".plot",
    ".plot:nth-child(2)",
    ".table",
  ],
  "/operate": [
    ".line-event",
    ".tabs",
    "~.chip",
    "~.chip[aria-pressed='true']",
    ".lines",
    ".line-event > :nth-child(3)",
  ],
  "/operate/erasure": [".tool form", ".tool", ".tool select", "~.button-main"],
} as const satisfies Readonly<Record<string, readonly [string, ...string[]]>>;

/** Rows whose parts stay inside of them and beside each other. */
const rows = [
  ".tenant",
  ".tools",
  ".bar",
  ".turn-head",
  ".turn-foot",
  ".figure",
  ".plot figcaption",
  ".call summary",
  ".actions",
];

/** A visible region. */
interface Region {
  readonly selector: string;
  /** The left edge and the width, px; null where they depend on the font. */
  readonly place: readonly [x: number, width: number] | null;
  readonly colours: string;
}

interface Look {
  /** From top to bottom. */
  readonly regions: readonly Region[];
  readonly faults: readonly string[];
}

/** Text that a page evaluates: the regions of the selectors, and the parts of rows that are outside of them or overlap. */
function lookAt(selectors: readonly string[]): string {
  return `(() => {
    const box = (element) => element?.checkVisibility() ? element.getBoundingClientRect() : undefined;
    const regions = ${JSON.stringify(selectors)}
      .map((selector) => ({ selector, element: document.querySelector(selector.replace("~", "")) }))
      .map(({ selector, element }) => ({ selector, element, box: box(element) }))
      .filter(({ box }) => box !== undefined)
      .sort((a, b) => Math.round(a.box.y) - Math.round(b.box.y) || a.box.x - b.box.x)
      .map(({ selector, element, box }) => {
        const { color, backgroundColor } = getComputedStyle(element);
        const place = selector.startsWith("~") ? null : [Math.round(box.x), Math.round(box.width)];
        return { selector, place, colours: color + " on " + backgroundColor };
      });
    const faults = [];
    for (const row of ${JSON.stringify(rows)}) for (const element of document.querySelectorAll(row)) {
      const outer = box(element);
      if (outer === undefined) continue;
      const parts = [...element.children].map((part) => ({ part, box: box(part) })).filter(({ box }) => box !== undefined && box.width > 1);
      for (const { part, box } of parts) if (box.right > outer.right + 1 || box.left < outer.left - 1) faults.push(row + ": " + part.outerHTML.slice(0, 80) + " is outside");
      for (const [index, a] of parts.entries()) for (const b of parts.slice(index + 1))
        if (a.box.left < b.box.right - 1 && b.box.left < a.box.right - 1 && a.box.top < b.box.bottom - 1 && b.box.top < a.box.bottom - 1)
          faults.push(row + ": " + a.part.outerHTML.slice(0, 80) + " overlaps " + b.part.outerHTML.slice(0, 80));
    }
    return { regions, faults };
  })()`;
}

/** Pixels that a scroll bar may make of difference. */
const tolerance = 16;

function lineOf({ selector, place, colours }: Region): string {
  return `  ${selector} | ${place === null ? "" : place.join(" ")} | ${colours}`;
}

function parsed(text: string): ReadonlyMap<string, readonly Region[]> {
  const found = new Map<string, Region[]>();
  let last: Region[] = [];
  for (const line of text.split("\n").filter((line) => line !== "")) {
    const [selector = "", place = "", colours = ""] = line.trim().split(" | ");
    if (!line.startsWith(" ")) found.set(selector, (last = []));
    else {
      const [x, width] = place.split(" ").map(Number);
      last.push({ selector, place: x === undefined || width === undefined ? null : [x, width], colours });
    }
  }
  return found;
}

function differencesOf(expected: readonly Region[] = [], found: readonly Region[]): string[] {
  const [before, now] = [expected, found].map((regions) => regions.map(({ selector }) => selector).join(", "));
  if (before !== now) return [`from top to bottom there are ${now}; expected ${before}`];
  return found.flatMap((region, index) => {
    const known = expected[index];
    const isSamePlace = region.place?.every((value, at) => Math.abs(value - (known?.place?.[at] ?? NaN)) <= tolerance);
    const isSame = (isSamePlace ?? known?.place === null) && region.colours === known?.colours;
    return isSame ? [] : [`found ${lineOf(region)}; expected ${known === undefined ? "none" : lineOf(known)}`];
  });
}

test(
  "each page has the layout and the colours of the file, and no part of a row is outside of it or over another one",
  { skip: isThorough || isWriting ? noBrowser : "it runs in a thorough run" },
  async (t) => {
    const demo = await demoStore();
    const studio = studioOf({ sessions: demo.sessions, approve: demo.approve }, await builtPage());
    const listening = await listen(loopbackOnly(studio), { port: 0 });
    t.after(async () => {
      demo.gate.open();
      await listening.close(0);
      await demo.sessions.close();
    });
    // The test asks the page by scripts of its own.
    const page = await (await browser()).newPage({ bypassCSP: true });
    page.setDefaultTimeout(timeoutMs);
    await page.goto(`${listening.url}${studio.link("admin")}`);
    await page.locator("a.row").first().waitFor();
    const known = isWriting ? new Map() : parsed(readFileSync(file, "utf8"));
    const lines: string[] = [];
    const wrong: string[] = [];
    for (const [path, [ready, ...selectors]] of Object.entries(pages)) {
      await page.setViewportSize({ width: 1440, height: 900 });
      await page.evaluate(
        `history.pushState(null, "", "/studio${path}"), dispatchEvent(new PopStateEvent("popstate")), 0`,
      );
      await page.locator(ready).first().waitFor();
      for (const width of widths)
        for (const colorScheme of ["light", "dark"] as const) {
          await page.setViewportSize({ width, height: 900 });
          await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
          await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
          const { regions, faults } = await page.evaluate<Look>(lookAt(selectors));
          const place = `${path} ${width} ${colorScheme}`;
          lines.push(place, ...regions.map(lineOf));
          const differences = isWriting ? [] : differencesOf(known.get(place), regions);
          wrong.push(...[...faults, ...differences].map((text) => `${place}: ${text}`));
        }
    }
    await page.close();
    if (isWriting) writeFileSync(file, `${lines.join("\n")}\n`);
    assert.deepEqual(wrong, []);
  },
);
