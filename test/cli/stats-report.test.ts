/** The report of `perdure stats --html`: its file, and the file in a browser. */
import assert from "node:assert/strict";
import { open, readdir, readFile, rm } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { stats as statsOf, type Stats } from "../../src/admin.ts";
import { statsReport } from "../../src/cli/operate/stats-report.ts";
import { openSessions } from "../../src/index.ts";
import { standalonePage } from "../../src/pages/standalone-page.ts";
import { browser, noBrowser } from "../studio/browser.ts";
import { buildPrograms } from "../support/programs.ts";
import { isThorough } from "../support/rounds.ts";

// The program of the sources has no report, because the report is built.
if (process.env["PERDURE_TEST_PROGRAMS"] === undefined) {
  const built = await buildPrograms();
  after(async () => await rm(built, { recursive: true }));
}
const pages = join(process.env["PERDURE_TEST_PROGRAMS"] ?? "", "dist/studio/standalone");
const { Workplace } = await import("./command-line.ts");

const nasty = `</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1">&'`;
/** A model's name with a character that reverses what follows it. */
const reversing = `m\u202e${nasty}`;
const usage = { inputTokens: 900, outputTokens: 100, totalTokens: 1000 };

async function filled(): Promise<Awaited<ReturnType<typeof Workplace.open>>> {
  const place = await Workplace.open();
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  const session = await sessions.create({ id: "s", agent: "ceo", user: nasty });
  await session.append({ input: "q", output: "a", usage, durationMs: 100, agent: "ceo", model: reversing });
  await session.append({ input: "q", output: "a", usage, durationMs: 300, agent: "ceo", status: "failed" });
  return place;
}

test("the report is one file that names no other one, and holds the data as text", async () => {
  await using place = await filled();
  assert.equal((await place.run(["stats", "--html", "report.html"])).code, 0);
  const html = await readFile(join(place.folder, "report.html"), "utf8");
  assert.match(html, /^<!doctype html>/);
  assert.match(html, /content="default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'; /);
  assert.doesNotMatch(html, /<img|<link|src=(?!x )|url\(|@import|\u202e/);
  assert.deepEqual(new Set(html.match(/https?:\/\/[\w.]+/g)), new Set(["http://www.w3.org"]), "a namespace of XML");
  assert.equal(html.match(/<script/g)?.length, 2);
  assert.equal(html.match(/<\/script/g)?.length, 2);
});

test("a reader of a report that is being replaced reads a whole report", async () => {
  await using place = await filled();
  const file = join(place.folder, "report.html");
  await place.run(["stats", "--html", file]);
  const before = await readFile(file, "utf8");
  await using reader = await open(file);
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  await sessions.create({ agent: "another" });
  assert.equal((await place.run(["stats", "--html", file])).code, 0);
  assert.equal(await reader.readFile("utf8"), before);
  assert.notEqual(await readFile(file, "utf8"), before);
  assert.deepEqual(
    (await readdir(place.folder)).filter((name) => name.includes("report")),
    ["report.html"],
  );
});

test("a checkout whose pages are not built has no report", () => {
  const content = { name: "report", title: "t", data: {}, withoutScripts: "w" } as const;
  assert.equal(standalonePage(content, join(pages, "none")), undefined);
});

const axe = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");
const views = [
  [390, "dark"],
  [1440, "light"],
  [1024, "dark"],
] as const;

test(
  "a report of no day, one day and many days shows its numbers, runs no text, and fits",
  { skip: noBrowser },
  async () => {
    await using place = await filled();
    await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
    const one = await statsOf(sessions, { by: ["day", "agent", "model", "user"], limit: 366 });
    const none = await statsOf(sessions, { by: ["day", "agent", "model", "user"], since: new Date("2099-01-01") });
    const reports = isThorough ? { one, none, many: onNinetyDays(one) } : { one };
    for (const [name, stats] of Object.entries(reports)) {
      const file = join(place.folder, `${name}.html`);
      await using handle = await open(file, "w");
      await handle.writeFile(statsReport(stats, pages) ?? assert.fail());
      for (const [width, colorScheme] of isThorough && name === "one" ? views : views.slice(0, 1)) {
        // axe runs as a script of the test, which the policy of the page would refuse.
        const context = await (
          await browser()
        ).newContext({ viewport: { width, height: 844 }, colorScheme, bypassCSP: true });
        const page = await context.newPage();
        const faults: string[] = [];
        page.on(
          "request",
          (request) => void (request.url() === pathToFileURL(file).href || faults.push(request.url())),
        );
        page.on("pageerror", (error) => faults.push(String(error)));
        await page.goto(pathToFileURL(file).href);
        await page.getByRole("heading", { name: "Sessions of default" }).waitFor();
        await page
          .locator(name === "none" ? ".report-empty" : "canvas")
          .first()
          .waitFor();
        const plots = await page.evaluate<string[]>(
          "[...document.querySelectorAll('.plot')].map((one) => one.getAttribute('aria-label'))",
        );
        if (name === "one") {
          assert.deepEqual(plots.slice(0, 2), [
            "Tokens by day. in: 1,800, out: 200",
            "Turns by day. done: 1, failed or interrupted: 1",
          ]);
          const row = await page.getByRole("row").filter({ hasText: "<img src=x" }).first().textContent();
          assert.ok(row?.startsWith(reversing.replace("\u202e", String.raw`\u202e`)), row ?? "");
        }
        await page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true");
        assert.equal(await page.evaluate("'hacked' in window"), false);
        const over = await page.evaluate<number>("document.documentElement.scrollWidth - innerWidth");
        assert(over <= 0, `${name} is ${over} pixels wider than ${width}`);
        await page.evaluate(axe);
        const found = await page.evaluate(
          `axe.run().then(({ violations }) => violations
          .filter(({ impact }) => impact === "serious" || impact === "critical")
          .map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html.slice(0, 160)).slice(0, 3).join(" ")))`,
        );
        assert.deepEqual([...faults, ...(found as string[])], [], `${name} at ${width}`);
        await context.close();
      }
    }
  },
);

/** The sums of one day on each of ninety days. */
function onNinetyDays(stats: Stats): Stats {
  const names = Array.from({ length: 90 }, (_, index) =>
    new Date(Date.UTC(2026, 10, 30 - index)).toISOString().slice(0, 10),
  );
  const [sums] = stats.groups.day ?? [];
  assert(sums !== undefined);
  return {
    ...stats,
    days: names.map((day) => ({ day, created: 3, ended: 2, expired: 1 })),
    groups: { ...stats.groups, day: names.map((key) => ({ ...sums, key })) },
  };
}
