/** The list of sessions of a large store in a browser. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openSessions } from "../../src/index.ts";
import { listen } from "../../src/server/index.ts";
import { loopbackOnly } from "../../src/studio/loopback.ts";
import { studioOf } from "../../src/studio/studio.ts";
import { isThorough } from "../support/rounds.ts";
import { browser, noBrowser, timeoutMs } from "./browser.ts";
import { builtPage } from "./built-page.ts";

const count = 20_000;

/** The rows in view, in the page: the first and the last place, and how many pixels of the box no row covers. */
const rowsInView = `(() => {
  const box = document.querySelector(".rows").getBoundingClientRect();
  const rows = [...document.querySelectorAll("a.row")].map((row) => ({ at: Number(row.dataset.index), ...row.getBoundingClientRect().toJSON() }));
  const seen = rows.filter(({ top, bottom }) => bottom > box.top && top < box.bottom).sort((a, b) => a.top - b.top);
  let free = Math.max(0, (seen[0]?.top ?? box.bottom) - box.top) + Math.max(0, box.bottom - (seen.at(-1)?.bottom ?? box.top));
  for (let index = 1; index < seen.length; index++) free += Math.max(0, seen[index].top - seen[index - 1].bottom);
  return { first: seen[0]?.at, last: seen.at(-1)?.at, free, rows: rows.length };
})()`;

interface InView {
  readonly first: number;
  readonly last: number;
  readonly free: number;
  readonly rows: number;
}

test(
  `a list of ${count} sessions shows its first page after one request, and scrolls without gaps`,
  { skip: isThorough ? noBrowser : "it runs in a thorough run" },
  async (t) => {
    const sessions = await openSessions({ store: "memory:", sweep: false });
    for (let from = 0; from < count; from += 1000)
      await Promise.all(
        Array.from({ length: Math.min(1000, count - from) }, async (_, index) => {
          await sessions.create({ id: `s-${from + index}`, title: `Session ${from + index}`, labels: { team: "ops" } });
        }),
      );
    const studio = studioOf({ sessions }, await builtPage());
    const listening = await listen(loopbackOnly(studio), { port: 0 });
    t.after(async () => {
      await listening.close(0);
      await sessions.close();
    });
    const page = await (
      await browser()
    ).newPage({
      viewport: { width: 1440, height: 900 },
      // The test asks the page by scripts of its own.
      bypassCSP: true,
    });
    page.setDefaultTimeout(timeoutMs);
    const painted = Promise.withResolvers<void>();
    let listed = 0;
    await page.route("**/v1/sessions?*", async (route) => {
      // Later pages come once the first rows are there.
      if (listed++ > 0) await painted.promise;
      await route.continue();
    });
    await page.goto(`${listening.url}${studio.link("read")}`);
    await page.locator("a.row").first().waitFor();
    t.diagnostic(`first rows after ${Math.round(await page.evaluate<number>("performance.now()"))} ms`);
    painted.resolve();

    const seen = new Set<number>();
    for (let step = 0; step < 30; step++) {
      await page.evaluate("{ const box = document.querySelector('.rows'); box.scrollTop += box.clientHeight - 40; }");
      await page.waitForFunction(`${rowsInView}.free < 1`);
      const { first, last, rows } = await page.evaluate<InView>(rowsInView);
      for (let at = first; at <= last; at++) seen.add(at);
      assert(rows < 100, `${rows} rows are in the document`);
    }
    const last = Math.max(...seen);
    assert(last > 500, `scrolled to ${last}`);
    const first = Math.min(...seen);
    assert.equal(seen.size, last - first + 1, "each row between was in view");
    for (const to of ["0", "box.scrollHeight / 2", "box.scrollHeight"]) {
      await page.evaluate(`{ const box = document.querySelector('.rows'); box.scrollTop = ${to}; }`);
      await page.waitForFunction(`${rowsInView}.free < 1`);
    }
    await page.close();
  },
);
