/** The page of the studio in a browser: its main path, its frame, its texts, its sizes. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { BrowserContext, Locator, Page } from "playwright-core";
import { removeSession } from "../../src/admin.ts";
import type { KeyRight } from "../../src/index.ts";
import { listen, type Listening } from "../../src/server/index.ts";
import { loopbackOnly } from "../../src/studio/loopback.ts";
import { studioOf, type Studio } from "../../src/studio/studio.ts";
import { isThorough } from "../support/rounds.ts";
import { browser, noBrowser, timeoutMs } from "./browser.ts";
import { builtPage } from "./built-page.ts";
import { demoStore, type Demo } from "./demo-store.ts";

const axe = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");

const rarely = { skip: isThorough ? false : "it runs in a thorough run" };

describe("the studio in a browser", { skip: noBrowser }, () => {
  let demo: Demo;
  let studio: Studio;
  let listening: Listening;
  /** Requests to another origin, errors of the page and violations of its policy. */
  const faults: string[] = [];

  before(async () => {
    demo = await demoStore();
    studio = studioOf({ sessions: demo.sessions, approve: demo.approve }, await builtPage());
    listening = await listen(loopbackOnly(studio), { port: 0 });
  });

  after(async () => {
    demo.gate.open();
    await listening.close(0);
    await demo.sessions.close();
  });

  async function opened(right: KeyRight, context?: BrowserContext): Promise<Page> {
    const page = await (context ?? (await browser())).newPage();
    page.setDefaultTimeout(timeoutMs);
    page.on("request", (request) => {
      const { origin } = new URL(request.url());
      if (origin !== listening.url && origin !== "null") faults.push(`a request to ${request.url()}`);
    });
    page.on("pageerror", (error) => faults.push(String(error.stack)));
    page.on("console", (message) => {
      if (/Content Security Policy|violates/.test(message.text())) faults.push(message.text());
    });
    await page.goto(`${listening.url}${studio.link(right)}`);
    await page.locator("a.row").first().waitFor();
    assert.equal(new URL(page.url()).hash, "", "the token is no longer in the address");
    return page;
  }

  test("an operator goes from the list to a running answer, cancels it, forks, switches a branch, approves and erases, by clicks", async () => {
    const page = await opened("admin");
    await page.getByRole("link", { name: /oven-decision/ }).click();
    await page.getByText("Yes, buy the second oven.").waitFor();
    await page.getByText("held, holder alive").waitFor();

    // The second half of the answer arrives in the open page: another question is answered behind an open gate.
    await page.getByRole("button", { name: "Cancel answer" }).click();
    await page.getByLabel("Reason (optional)").fill("asked twice");
    await page.getByRole("dialog").getByRole("button", { name: "Cancel answer" }).click();
    await page.getByRole("article", { name: "Turn 2, interrupted" }).waitFor();
    await page.getByText("No lease: any writer may take it.").waitFor();
    const events = await Array.fromAsync(demo.running.events());
    const audit = events.find(({ type }) => type === "app.studio");
    assert.deepEqual((audit as { data?: unknown }).data, {
      action: "cancel answer",
      reason: "asked twice",
      key: "studio admin",
    });

    await page.getByRole("article", { name: "Turn 1, done" }).hover();
    await page.getByRole("button", { name: "Fork here" }).first().click();
    await page.getByLabel("Id of the fork; empty: a new one").fill("oven-fork");
    await page.getByRole("dialog").getByRole("button", { name: "Fork from turn 1" }).click();
    await page.getByRole("link", { name: "oven-decision" }).waitFor();
    assert.equal(new URL(page.url()).pathname, "/studio/sessions/oven-fork");

    await page.getByLabel("Ask the model").fill("And if we lease it?");
    await page.getByRole("button", { name: "Ask here" }).click();
    await page.getByText("The morning queue loses us about forty").waitFor();
    assert.equal(await page.getByText("the seller delivers.").count(), 0, "the rest of the answer is not there yet");
    demo.gate.open();
    await page.getByText("the seller delivers.").waitFor();
    await page.getByRole("article", { name: "Turn 2, done" }).waitFor();

    await page.getByRole("link", { name: "Sessions", exact: true }).click();
    await page.getByRole("link", { name: /loaf-names/ }).click();
    await page.getByText("Call it Heather.").waitFor();
    await page.getByRole("button", { name: "Switch" }).click();
    await page.getByText("Call it Granite.").waitFor();
    assert.equal(await page.getByText("Call it Heather.").count(), 0, "the other branch is shown alone");

    await page.getByRole("link", { name: "Waiting" }).click();
    await page.getByRole("link", { name: /Refund of 250 euros/ }).click();
    await page.getByRole("button", { name: "Approve" }).click();
    await page.getByText("250 euros are on their way").last().waitFor();
    await page.getByRole("article", { name: "Turn 1, done" }).waitFor();

    await page.getByRole("link", { name: "Sessions", exact: true }).click();
    await page.getByRole("button", { name: "Restore snapshot" }).waitFor();
    const snapshot = Buffer.from(JSON.stringify(await demo.sessions.snapshot("order-done")));
    const file = { name: "order-done.snapshot.json", mimeType: "application/json", buffer: snapshot };
    await page.getByLabel("File of a snapshot").setInputFiles({ ...file, buffer: Buffer.from("{}") });
    await page.getByText(/no document of the format/).waitFor();
    await page.getByLabel("File of a snapshot").setInputFiles(file);
    await page.waitForURL(/\/sessions\/support_[0-9a-z]+$/);
    await page.getByText("It arrived, thank you!").waitFor();
    await (await demo.sessions.get(new URL(page.url()).pathname.split("/").at(-1) ?? "")).remove();

    await demo.sessions.keys.create({ name: "backend" });
    await page.getByRole("link", { name: "Operate" }).click();
    await page.getByRole("link", { name: "Keys" }).click();
    await page.getByRole("button", { name: "Revoke backend" }).click();
    await page.getByLabel("Type backend to confirm").fill("backend");
    await page.getByRole("dialog").getByRole("button", { name: "Revoke backend" }).click();
    await page.getByText("backend is revoked.").waitFor();
    await page.getByRole("button", { name: "Revoke backend" }).waitFor({ state: "detached" });
    assert.deepEqual(await Array.fromAsync(demo.sessions.keys.each()), []);

    await page.getByRole("link", { name: "Operate" }).click();
    await page.getByRole("link", { name: "Erasure" }).click();
    await page.getByLabel("Id of the user or device").fill("mia");
    await page.getByRole("button", { name: "Preview" }).click();
    await page.getByRole("button", { name: "Erase…" }).click();
    const confirm = page.getByRole("dialog").getByRole("button", { name: "Erase" });
    assert(await confirm.isDisabled(), "the name must be typed");
    await page.getByLabel("Type mia to confirm").fill("mia");
    await confirm.click();
    await page
      .getByLabel("Receipt", { exact: true })
      .getByText(/\d+ sessions/)
      .waitFor();
    assert.deepEqual((await demo.sessions.list({ user: "mia" })).items, []);
    await page.close();
  });

  test("a reader sees a session of another process as it comes and changes, and is offered no change", async () => {
    const page = await opened("read");
    await page.getByText("read-only", { exact: true }).waitFor();
    const session = await demo.sessions.create({ id: "brand-new", title: "Brand new", agent: "billing" });
    const link = page.getByRole("link", { name: /Brand new/ });
    await link.waitFor();
    await session.update({ title: "Renamed since" });
    await page.getByRole("link", { name: /Renamed since/ }).click();
    await page.getByText("No turns yet").waitFor();
    await session.append({ input: "Hello?", output: "Good morning." });
    await page.getByText("Good morning.").waitFor();
    assert.equal(await page.getByLabel("Ask the model").count(), 0);
    assert.equal(await page.getByRole("button", { name: "Restore snapshot" }).count(), 0);
    assert.deepEqual(await page.locator(".panel .actions button").allTextContents(), ["Download snapshot"]);
    await session.remove();
    await page.close();
  });

  test(
    "filters are in the address, which alone opens the same list; a search finds a turn; keys move and open",
    rarely,
    async () => {
      const page = await opened("read");
      await page.getByLabel("User").fill("grace");
      await page.keyboard.press("Enter");
      await page.getByLabel("State").selectOption("active");
      await page.waitForURL(/user=grace&state=active/);
      await page.getByRole("link", { name: /support-42-what-if/ }).waitFor();
      assert.equal(await page.getByRole("link", { name: /oven-decision/ }).count(), 0);
      await page.reload();
      await page.getByRole("link", { name: /support-42-what-if/ }).waitFor();
      await page.getByRole("link", { name: "Clear" }).click();
      await page.getByRole("link", { name: /oven-decision/ }).waitFor();
      await page.keyboard.press("/");
      await page.keyboard.type("hub linz");
      await page.keyboard.press("Enter");
      await page.locator(".hit mark", { hasText: "hub" }).first().waitFor();
      await page.locator(".hit").first().click();
      await page.waitForURL(/\/sessions\/support-42#turn-1$/);
      await page.getByRole("article", { name: "Turn 1, done" }).waitFor();
      await page.keyboard.press("Escape");
      await page.locator("a.row").first().waitFor();
      await page.keyboard.press("?");
      await page.getByRole("heading", { name: "Keyboard shortcuts" }).waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "hidden" });
      for (const [key, place] of [
        ["j", 0],
        ["j", 1],
        ["k", 0],
      ] as const) {
        await page.keyboard.press(key);
        await page.locator(`a.row[data-index="${place}"]:focus`).waitFor();
      }
      await page.keyboard.press("Enter");
      await page.waitForURL(/\/sessions\//);
      await page.getByRole("link", { name: "Stored" }).waitFor();
      await page.keyboard.press("3");
      await page.locator(".stored li").first().waitFor();
      await page.keyboard.press("Escape");
      await page.locator("a.row").first().waitFor();
      await page.keyboard.press("g");
      await page.keyboard.press("o");
      await page.getByText("Tokens by day").waitFor();
      await page.close();
    },
  );

  test("a conversation shows its memory, ratings, attachments and shares, and a list its streams", async () => {
    const page = await opened("read");
    await page.getByRole("link", { name: /support-42 / }).click();
    await page.getByRole("article", { name: "Turn 1, done" }).getByText("pinned").waitFor();
    await page.getByRole("article", { name: "Turn 2, done" }).getByText("left out").waitFor();
    const third = page.getByRole("article", { name: "Turn 3, done" });
    await third.getByText("approved").waitFor();
    await third.getByText("invoice-2026-1093.txt text/plain · 30 B").waitFor();
    const panel = page.getByLabel("Details of the session");
    await panel.getByText("Summary of turns 1 to 2").click();
    await panel.getByText("It left Linz and is due on Wednesday.").waitFor();
    await panel.getByText("exact, and fast").waitFor();
    await panel.getByText("1 link to read this session.").waitFor();
    const [file] = await Promise.all([
      page.waitForEvent("download"),
      panel.getByText("invoice-2026-1093.txt").locator("xpath=ancestor::li").getByRole("button").click(),
    ]);
    assert.equal(file.suggestedFilename(), "invoice-2026-1093.txt");
    assert.match(readFileSync(await file.path(), "utf8"), /84\.20 euros/);

    await page.getByRole("link", { name: "Operate" }).click();
    await page.getByRole("link", { name: "Streams" }).click();
    const line = page.locator(".line-stream");
    await line.filter({ hasText: "charts-of-may" }).filter({ hasText: "in progress" }).waitFor();
    // Another stream appears by itself.
    const acquired = await demo.sessions.streams.acquire("charts-of-june");
    await line.filter({ hasText: "charts-of-june" }).waitFor();
    assert(acquired.role === "producer");
    await acquired.stream.end();
    await line.filter({ hasText: "charts-of-june" }).waitFor({ state: "detached" });
    await page.close();
  });

  test("a link to read a session is revoked by a key that may write, and is gone from the list", async () => {
    const session = await demo.sessions.create({ id: "shared", agent: "ceo" });
    const [kept, revoked] = [await demo.sessions.share("shared"), await demo.sessions.share("shared")];
    const reading = await opened("read");
    const panelOf = async (page: Page): Promise<Locator> => {
      await page.evaluate(
        'history.pushState(null, "", "/studio/sessions/shared"), dispatchEvent(new PopStateEvent("popstate")), 0',
      );
      const panel = page.getByLabel("Details of the session");
      await panel.getByText("2 links to read this session.").waitFor();
      return panel;
    };
    assert.equal(await (await panelOf(reading)).getByRole("button", { name: /^Revoke/ }).count(), 0);
    await reading.close();
    const page = await opened("write");
    const panel = await panelOf(page);
    await panel.getByRole("button", { name: `Revoke link ${revoked.id}` }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke link" }).click();
    await panel.getByText("1 link to read this session.").waitFor();
    const left = await demo.sessions.shares("shared");
    assert.deepEqual(
      left.map(({ id }) => id),
      [kept.id],
    );
    await page.close();
    await session.remove();
  });

  test("a thread of LangGraph shows its checkpoints with their channels and writes", rarely, async () => {
    const page = await opened("read");
    await page.getByRole("link", { name: /refund-graph/ }).click();
    await page.getByRole("link", { name: "Checkpoints" }).click();
    const lines = page.locator(".checkpoints > li");
    await lines.filter({ hasText: "messages, plan" }).locator("summary").first().click();
    const open = lines.filter({ hasText: "messages, plan" });
    await open.getByText('"content": "I have refunded 40 euros."').waitFor();
    await open.getByText('"euros": 40').waitFor();
    await open.getByText("Refund 40 euros?").first().waitFor();
    assert.equal(await lines.count(), 2);
    assert.doesNotMatch((await lines.allTextContents()).join(" "), /branch:to|__start__|\$lg/);
    // A session without checkpoints has no such view.
    await page.goto(`${listening.url}/studio/sessions/support-42`);
    await page.getByRole("article", { name: "Turn 1, done" }).waitFor();
    assert.equal(await page.getByRole("link", { name: "Checkpoints" }).count(), 0);
    await page.close();
  });

  test("with the mask on, no text of a conversation is in the page", rarely, async () => {
    const secret = "Quagga";
    const session = await demo.sessions.create({
      id: "masked",
      title: `Title ${secret}`,
      metadata: { note: secret },
      instructions: secret,
      agent: "billing",
    });
    await session.append({
      input: `A question about ${secret}`,
      output: [
        {
          role: "assistant",
          content: [{ type: "text", text: secret }],
          tool_calls: [{ id: "c", function: { name: "look", arguments: `{"for":"${secret}"}` } }],
        },
        { role: "tool", tool_call_id: "c", content: secret },
        { role: "assistant", content: secret },
      ],
    });
    await session.rate(1, { rating: "up", comment: secret });
    await session.summarize({ to: 1 });
    await session.handOff("ceo", { note: secret });
    await session.record({ type: "app.seen", data: { text: secret } });
    await session.setLegalHold(secret);
    const page = await opened("admin");
    await page.getByText(`Title ${secret}`).waitFor();
    await page.keyboard.press("m");
    await page.getByText(`Title ${secret}`).waitFor({ state: "detached" });
    const places = [
      ["/", "a.row"],
      ["/sessions/masked", ".turn details.call"],
      ["/sessions/masked/timeline", ".story-item"],
    ] as const;
    const more = [
      ["/sessions/masked/stored", ".stored li"],
      ["/sessions/masked/compare?with=support-42", ".side-turn"],
      ["/operate", ".line-event"],
      [`/?text=${secret}`, ".hit"],
    ] as const;
    for (const [place, ready] of isThorough ? [...places, ...more] : places) {
      await page.evaluate(
        `history.pushState(null, "", "/studio${place}"), dispatchEvent(new PopStateEvent("popstate")), 0`,
      );
      await page.locator(ready).first().waitFor();
      for (const summary of await page.locator("summary").all()) await summary.click();
      for (const event of await page.locator("button.story-item").all()) await event.click();
      const text = await page.evaluate<string>("document.querySelector('main').innerText + document.title");
      // The search itself is named in its link.
      const named = place.startsWith("/?text=") ? 1 : 0;
      assert.equal(text.split(secret).length - 1, named, `${place}: ${text}`);
    }
    await page.keyboard.press("m");
    await page.close();
    await session.clearLegalHold();
    await session.remove();
  });

  test("a page whose news are refused, since the store takes no writes, asks every few seconds", rarely, async () => {
    const page = await (await browser()).newPage();
    page.setDefaultTimeout(timeoutMs);
    const refused = { code: "store_read_only", detail: "the store takes no writes" };
    await page.route("**/v1/news", async (route) => {
      const body = `event: error\ndata: ${JSON.stringify(refused)}\n\n`;
      await route.fulfill({ status: 200, contentType: "text/event-stream", body });
    });
    await page.clock.install();
    await page.goto(`${listening.url}${studio.link("read")}`);
    await page.locator("a.row").first().waitFor();
    await page.getByText("every 5 s").waitFor();
    const session = await demo.sessions.create({ id: "polled", title: "Seen by a poll" });
    assert.equal(await page.getByText("Seen by a poll").count(), 0);
    await page.clock.runFor(6000);
    await page.getByText("Seen by a poll").waitFor();
    await session.remove();
    await page.close();
  });

  test("texts of every field are shown as texts", async () => {
    const nasty = [
      '<img src=x onerror="window.hacked=1">',
      "<script>window.hacked=1</script>",
      '"><svg onload=window.hacked=1>',
      "javascript:window.hacked=1",
      "{{constructor.constructor('window.hacked=1')()}}",
    ].join(" ");
    const user = nasty.slice(0, 200);
    const session = await demo.sessions.create({
      id: nasty.replaceAll("/", "|").slice(0, 200),
      title: nasty.slice(0, 250),
      user,
      labels: { "<img src onerror>": nasty.slice(0, 250) },
      metadata: { [nasty]: nasty },
      instructions: nasty,
      agent: "billing",
    });
    await session.append({
      input: [
        {
          role: "user",
          name: nasty,
          content: [
            { type: "text", text: nasty },
            { type: nasty, [nasty]: nasty },
          ],
        },
      ],
      output: [
        { role: "assistant", content: nasty, tool_calls: [{ id: nasty, function: { name: nasty, arguments: nasty } }] },
        { role: "tool", tool_call_id: nasty, content: nasty },
      ],
      model: nasty.slice(0, 200),
    });
    await session.record({ type: "app.nasty", data: { [nasty]: nasty } });
    await session.handOff("ceo", { note: nasty });
    await session.write({ logs: { nasty: { entries: [{ key: nasty.slice(0, 200), value: nasty }] } } });
    await session.setLegalHold(nasty);
    const page = await opened("admin");
    const path = `/studio/sessions/${encodeURIComponent(session.id)}`;
    const places = [
      [`/studio/?user=${encodeURIComponent(user)}`, "a.row"],
      [path, ".turn details.call"],
      [`${path}/timeline`, ".story-item"],
    ] as const;
    const more = [
      [`${path}/stored`, ".stored li"],
      [`${path}/compare?with=${encodeURIComponent(session.id)}`, ".sides h2"],
      ["/studio/operate", ".line-event"],
      ["/studio/overview", ".table"],
    ] as const;
    for (const [place, ready] of isThorough ? [...places, ...more] : places) {
      await page.goto(`${listening.url}${place}`);
      await page.locator(ready).first().waitFor();
      for (const summary of await page.locator("summary").all()) await summary.click();
      assert.equal(await page.locator("main img, main script, main svg[onload], [onerror]").count(), 0, place);
      assert.equal(await page.evaluate("'hacked' in window"), false, place);
    }
    await page.getByRole("link", { name: "Sessions", exact: true }).click();
    await page.close();
    await session.clearLegalHold();
    await session.remove();
  });

  test("no page has a serious finding of axe, or is wider than its window", async () => {
    const pages = ["/", "/sessions/support-42", "/overview"];
    const more = [
      ...["/timeline", "/stored", "/compare?with=support-42"].map((tab) => `/sessions/support-42-what-if${tab}`),
      "/sessions/refund-graph/checkpoints",
      ...["", "/streams", "/doctor", "/sweep", "/erasure", "/keys"].map((tool) => `/operate${tool}`),
    ];
    const windows = [
      [1440, "light"],
      [390, "dark"],
      [1024, "light"],
    ] as const;
    for (const [width, colorScheme] of isThorough ? windows : windows.slice(0, 2)) {
      // axe runs as a script of the test, which the policy of the page would refuse.
      const context = await (
        await browser()
      ).newContext({ viewport: { width, height: 844 }, colorScheme, bypassCSP: true });
      const page = await opened("admin", context);
      for (const path of isThorough ? [...pages, ...more] : pages) {
        await page.evaluate(
          `history.pushState(null, "", "/studio${path}"), dispatchEvent(new PopStateEvent("popstate")), 0`,
        );
        await page
          .locator(
            "main .blank, main a.row, main .turn, main .story-item, main .figure, main .tool, main .sides, main .stored",
          )
          .first()
          .waitFor();
        const over = await page.evaluate<number>("document.documentElement.scrollWidth - innerWidth");
        assert(over <= 0, `${path} is ${over} pixels wider than ${width}`);
        if (!(await page.evaluate("'axe' in window"))) await page.evaluate(axe);
        const found = await page.evaluate(
          `axe.run().then(({ violations }) => violations
            .filter(({ impact }) => impact === "serious" || impact === "critical")
            .map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html.slice(0, 160)).slice(0, 3).join(" ")))`,
        );
        assert.deepEqual(found, [], `${path} at ${width}`);
      }
      await context.close();
    }
  });

  test("a long conversation opens at its last turn, whatever the width, and at the turn of the address", async () => {
    const session = await demo.sessions.create({ id: "long" });
    const turns = Array.from({ length: 60 }, (_, index) => ({
      input: `Question ${index + 1}`,
      output: Array.from({ length: 1 + (index % 7) }, (_, line) => `Line ${line} of the answer.`).join("\n\n"),
    }));
    await session.write({ turns: { turns } });
    for (const [width, height] of [
      [1440, 900],
      [390, 844],
    ] as const) {
      const page = await opened("write");
      await page.setViewportSize({ width, height });
      for (const [hash, seq] of [
        ["", 60],
        ["#turn-30", 30],
        ["#turn-5", 5],
      ] as const) {
        await page.goto("about:blank");
        await page.goto(`${listening.url}/studio/sessions/long${hash}`);
        const turn = page.locator(`#turn-${seq}`);
        await turn.waitFor();
        for (;;) {
          const { y, height: own } = (await turn.boundingBox()) ?? { y: -1, height: 0 };
          if (y >= 0 && y + own <= height) break;
          await sleep(50);
        }
      }
      await page.close();
    }
    await removeSession(demo.sessions, "long");
  });

  test("no request left the origin, no script failed, and no part of the page broke its policy", () => {
    assert.deepEqual(faults, []);
  });
});
