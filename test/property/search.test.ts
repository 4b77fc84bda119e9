/** Histories by chance: what the index of a store finds is what a scan of the same store finds, page by page. */
import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";
import { removeSession } from "../../src/admin.ts";
import { hasCode, SessionError, type Model, type Session } from "../../src/index.ts";
import { openStore } from "../../src/open.ts";
import type { SearchQuery } from "../../src/sessions/search/search.ts";
import { sessionsOn, type Sessions } from "../../src/sessions/sessions.ts";
import { storeBefore } from "../../src/store/calls/forwarding-store.ts";
import type { Store } from "../../src/store/store.ts";
import { scriptedClock, type ScriptedClock } from "../../src/testing/scripted-clock.ts";
import { Engines, enginesOfRun } from "../crash/engines.ts";
import { seededChanceOf } from "../support/chance.ts";
import { rounds } from "../support/rounds.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

const texts = [
  "refund of the invoice",
  "Refund, please",
  "crème brûlée",
  "getUserById(id)",
  "src/store/index.ts",
  "北京大学的学生",
  "大学生在北京",
  "東京タワー",
  "𠮷野家 🍣",
  "the the the",
  "can't stop, won't",
  "\0 \u0001 x\u0000y",
  'a "quoted" word',
  "ＦＵＬＬ width ①",
  "",
] as const;
const queries = [
  "refund",
  "REFUND invoice",
  "creme",
  '"of the"',
  "get user",
  "getuserbyid",
  "store index ts",
  "北京",
  "大学生",
  "京",
  "東京タワー",
  "𠮷",
  "🍣",
  "the",
  "inv*",
  "full 1",
  "x y",
  "nothing",
  '") OR words:',
  "'x' & !y | \\",
  "a:* <-> b",
  "\0 \ud800 %_",
] as const;
const users = ["ada", "bob"] as const;

/** One tenant of a store, seen through its index and by a scan. */
class History {
  readonly #indexed: Sessions;
  readonly #scanned: Sessions;
  readonly #chance: () => number;
  readonly #clock: ScriptedClock;

  constructor(store: Store, tenant: string, clock: ScriptedClock, chance: () => number) {
    this.#chance = chance;
    this.#clock = clock;
    const model: Model = async function* ({ messages }) {
      yield { type: "text", text: String(messages.at(-1)?.content) };
    };
    const options = { clock, sweep: false, tenant, model } as const;
    const open = { close: async () => undefined };
    this.#indexed = sessionsOn(Object.assign(storeBefore(store), open), options);
    const capabilities = { ...store.capabilities, searches: false };
    const scanned = Object.defineProperty(storeBefore(store), "capabilities", { value: capabilities });
    this.#scanned = sessionsOn(Object.assign(scanned, open), options);
  }

  #oneOf<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.#chance() * items.length)]!;
  }

  async step(): Promise<void> {
    await this.#clock.advance(1000 + Math.floor(this.#chance() * 5000));
    const acts = [
      ...[1, 2, 3, 4].map(() => async () => this.#append(await this.#some())),
      () => this.#create(),
      async () => (await this.#some()).update({ title: this.#oneOf([...texts, null]) }),
      async () => (await this.#some()).update({ user: this.#oneOf(users), labels: { topic: this.#oneOf(["x", "y"]) } }),
      async () => (await this.#some()).truncate(Math.floor(this.#chance() * 4)),
      async () => (await this.#some()).fork(),
      async () => removeSession(this.#indexed, (await this.#some()).id),
      async () => (await this.#some()).end(),
      async () => this.#edit(await this.#some()),
      async () => this.#switch(await this.#some()),
      async () => (await this.#some()).archive(),
      async () => (await this.#some()).unarchive(),
      async () => (await this.#some()).write({ turns: { from: 1, turns: [{ input: this.#oneOf(texts) }] }, onto: 0 }),
    ];
    try {
      await this.#oneOf(acts)();
    } catch (error) {
      if (!(error instanceof SessionError) || hasCode(error, "internal")) throw error;
    }
  }

  async #create(): Promise<void> {
    const title = this.#oneOf([undefined, ...texts]);
    const session = await this.#indexed.create({ user: this.#oneOf(users), ...(title ? { title } : {}) });
    await this.#append(session);
  }

  async #edit(session: Session): Promise<void> {
    const seq = 1 + Math.floor(this.#chance() * Math.max(1, session.info.turn));
    await Array.fromAsync(await session.edit(seq, this.#oneOf(texts)));
  }

  async #switch(session: Session): Promise<void> {
    await session.switchTo(this.#oneOf(["1", "2", "3"]));
  }

  async #append(session: Session): Promise<void> {
    await session.append({ input: this.#oneOf(texts), output: `${this.#oneOf(texts)} ${this.#oneOf(texts)}` });
  }

  async #some(): Promise<Session> {
    const { items } = await this.#indexed.list();
    return await this.#indexed.get(this.#oneOf(items)?.id ?? "none");
  }

  /** Compares all pages of a query. */
  async compare(): Promise<void> {
    const { items } = await this.#indexed.list();
    const session = this.#chance() < 0.3 ? this.#oneOf(items)?.id : undefined;
    const since = this.#chance() < 0.2 ? new Date(this.#clock.now() - 20_000) : undefined;
    const query: SearchQuery = {
      text: this.#oneOf(queries),
      ...(session === undefined ? this.#filter() : { session }),
      ...(since ? { since } : {}),
    };
    const [found, expected] = [await this.#pages(this.#indexed, query), await this.#pages(this.#scanned, query)];
    assert.deepEqual(found, expected, JSON.stringify(query));
  }

  #filter(): Partial<SearchQuery> {
    return this.#oneOf<Partial<SearchQuery>>([
      {},
      {},
      { user: this.#oneOf(users) },
      { labels: { topic: "x" } },
      { user: "ada", labels: { topic: true } },
      { agent: "assistant" },
    ]);
  }

  /** What is found, in the order of the turns: those of one commit may have one time. */
  async #pages(sessions: Sessions, query: SearchQuery): Promise<readonly unknown[]> {
    const found: unknown[] = [];
    const limit = 1 + Math.floor(this.#chance() * 6);
    for (let after: string | undefined, isFirst = true; isFirst || after !== undefined; isFirst = false) {
      const page = await sessions.search({ ...query, limit, ...(after === undefined ? {} : { after }) });
      assert.equal(page.isCurrent, true);
      assert.ok(page.items.length <= limit);
      found.push(...page.items);
      after = page.next;
    }
    // In one session the last turns are first, and shared ones and those of other branches may be older than its title.
    if (query.session !== undefined) return found.map((one) => JSON.stringify(one)).toSorted();
    const times = (found as readonly { readonly at: Date }[]).map(({ at }) => Math.floor(at.getTime() / 1000));
    assert.deepEqual(
      times,
      times.toSorted((a, b) => b - a),
      "the newest first",
    );
    return found.map((one) => JSON.stringify(one)).toSorted();
  }
}

async function compareHistories(
  store: Store,
  { clock, steps }: { readonly clock: ScriptedClock; readonly steps: number },
  context: TestContext,
): Promise<void> {
  const chance = seededChanceOf(context);
  const histories = ["one", "other"].map((name) => new History(store, name, clock, chance));
  for (let step = 0; step < rounds(steps, 60); step++) {
    for (const history of histories) {
      await history.step();
      if (chance() < 0.3) await history.compare();
      if (chance() < 0.02) await store.scrub();
    }
  }
}

for (const engine of enginesOfRun("SQLite")) {
  test(`an index finds what a scan finds, whatever was written, changed and removed (${engine})`, async (context) => {
    const clock = scriptedClock();
    const isSqlite = engine === "SQLite";
    const store = isSqlite
      ? await openStore("sqlite::memory:", { clock })
      : await openStore(await (await engines.get(engine)).fresh());
    await compareHistories(store, { clock, steps: isSqlite ? 400 : 100 }, context);
    assert.deepEqual(await store.inspect(), []);
    await store.close();
  });
}
