import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { removeSession } from "../../domain/record/lifecycle.ts";
import { streamScope } from "../../domain/values/internal-scope.ts";
import { defined } from "../../domain/values/defined.ts";
import { hasCode } from "../../errors.ts";
import type { FoundNews, NewsQuery } from "../../store/store.ts";
import type { Store } from "../../store/store.ts";
import { creationOf, sampleInstance, samplePut, sampleRemoval, stepOf } from "../samples.ts";
import { commitOne, land, refuse, type Bench, type Check } from "./bench.ts";

const minute = 60_000;

export function newsCases(check: Check): void {
  check(
    "news-miss-nothing: creations, changes and removals of sessions and documents, as they are now",
    async (bench) => {
      const { store, tenant } = bench;
      const first = await begun(bench);
      assert.deepEqual(await read(store, { tenant, after: first }), { changes: {}, hasMore: false });

      const kept = await land(store, creationOf(bench.record({ id: "kept" })));
      const gone = await land(store, creationOf(bench.record({ id: "gone" })));
      const changed = await land(store, stepOf(kept));
      await commitOne(store, removeSession(gone));
      const [stays, leaves] = ["stays", "leaves"].map((key) => ({ tenant, scope: "s", key }));
      await store.commit([[samplePut(stays!, { version: 5 }), samplePut(leaves!, { version: 6 })]]);
      await store.commit([[sampleRemoval(leaves!, { version: 7 })]]);
      assert.deepEqual(await read(store, { tenant, after: first }), {
        changes: { kept: changed.version, gone: "removed", "s/stays": 5, "s/leaves": "removed" },
        hasMore: false,
      });
    },
  );

  check(
    "news-miss-nothing: each page continues the one before, and an older cursor has the same news",
    async (bench) => {
      const { store, tenant } = bench;
      const first = await begun(bench);
      await land(store, creationOf(bench.record({ id: "one" })));
      const second = await next(store, { tenant, after: first });
      await land(store, creationOf(bench.record({ id: "two" })));
      assert.deepEqual(Object.keys((await read(store, { tenant, after: second })).changes), ["two"]);
      assert.deepEqual(Object.keys((await read(store, { tenant, after: first })).changes), ["one", "two"]);
      const third = await next(store, { tenant, after: second });
      assert.deepEqual(await read(store, { tenant, after: third }), { changes: {}, hasMore: false });
    },
  );

  check(
    "news-miss-nothing: of another handle on the store, and after the reader's handle is closed",
    async (bench, context) => {
      const { store, tenant } = bench;
      if (!store.capabilities.shared) {
        context.skip("the store has one handle");
        return;
      }
      const after = await begun(bench);
      const writer = await bench.openAnother();
      const record = await land(writer, creationOf(bench.record({ id: "elsewhere" })));
      const reader = await bench.openAnother();
      const isReset = (await reader.news({ tenant, after, limit: 10 })).isReset;
      assert.equal(isReset, false);
      assert.deepEqual((await read(reader, { tenant, after })).changes, { elsewhere: record.version });
    },
  );

  check("news-miss-nothing: not of a refused change, and of each part of a transaction", async (bench) => {
    const { store, tenant } = bench;
    const a = await land(store, creationOf(bench.record({ id: "a" })));
    const after = await begun(bench);
    await land(store, stepOf(a));
    const [b, c] = ["b", "c"].map((id) => creationOf(bench.record({ id })));
    assert.deepEqual(await commitOne(store, b!, c!), { status: "ok" });
    const later = await next(store, { tenant, after });
    await refuse(store, stepOf(a));
    const put = samplePut({ tenant, scope: "s", key: "k" }, { version: 1, expected: 9 });
    assert.equal((await store.commit([[put]]))[0]?.status, "document_conflict");
    assert.deepEqual(Object.keys((await read(store, { tenant, after })).changes).toSorted(), ["a", "b", "c"]);
    assert.deepEqual((await read(store, { tenant, after: later })).changes, {});
  });

  check("news-miss-nothing: documents that a deletion of a user's documents removes", async (bench) => {
    const { store, tenant } = bench;
    const document = { tenant, scope: "s", key: "owned" };
    await store.commit([[samplePut(document, { version: 1, user: "ada" })]]);
    const after = await begun(bench);
    assert.equal(await store.deleteDocuments({ tenant, user: "ada", limit: 10 }), 1);
    assert.deepEqual((await read(store, { tenant, after })).changes, { "s/owned": "removed" });
  });

  check("news-are-bounded: by the changes that a page is read from, and each change is on a page", async (bench) => {
    const { store, tenant } = bench;
    const first = await begun(bench);
    const ids = Array.from({ length: 7 }, (_, n) => `bounded-${n}`);
    for (const id of ids) await land(store, creationOf(bench.record({ id })));
    const { found, after } = await pagesAfter(store, { tenant, after: first, limit: 2 });
    assert.ok(found.every((page) => page.length <= 2));
    assert.deepEqual(found.flat(), ids);
    assert.deepEqual((await read(store, { tenant, after })).changes, {});
  });

  check("news-are-bounded: by the bytes of the records, one record whatever its size", async (bench) => {
    const { store, tenant } = bench;
    const first = await begun(bench);
    const metadata = { text: "x".repeat(1000) };
    const ids = ["large-1", "large-2", "large-3"];
    for (const id of ids) await land(store, creationOf(bench.record({ id, metadata })));
    const { found } = await pagesAfter(store, { tenant, after: first, limit: 10, bytesMax: 500 });
    assert.deepEqual(
      found,
      ids.map((id) => [id]),
    );
  });

  check("news-are-bounded: a change that lands between two pages is behind the second one", async (bench) => {
    const { store, tenant } = bench;
    const first = await begun(bench);
    const records = [];
    for (const id of ["a", "b", "c"]) records.push(await land(store, creationOf(bench.record({ id }))));
    const page = await store.news({ tenant, after: first, limit: 2 });
    assert.deepEqual(Object.keys(changesOf(page)), ["a", "b"]);
    await land(store, stepOf(records[0]!));
    await land(store, creationOf(bench.record({ id: "d" })));
    const found = new Set<string>();
    let after = page.next!;
    for (let more = true; more;) {
      const behind = await store.news({ tenant, after, limit: 2 });
      for (const id of Object.keys(changesOf(behind))) found.add(id);
      [after, more] = [behind.next!, behind.hasMore];
    }
    assert.deepEqual([...found].toSorted(), ["a", "c", "d"]);
  });

  check(
    "a reset: without a cursor, with the cursor of another tenant, and with one of another store",
    async (bench) => {
      const { store, tenant } = bench;
      const after = await begun(bench);
      const other = `${tenant} other`;
      const foreign = await beganOf(store, other);
      for (const cursor of [undefined, foreign, Buffer.from('["other","17"]').toString("base64url")]) {
        const page = await store.news({ tenant, limit: 10, ...defined({ after: cursor }) });
        assert.equal(page.isReset, true);
        assert.deepEqual(page.changes, []);
        assert.equal((await store.news({ tenant, after: page.next!, limit: 10 })).isReset, false);
      }
      assert.equal((await store.news({ tenant, after, limit: 10 })).isReset, false);
    },
  );

  check("a cursor of another form is argument_invalid", async ({ store, tenant }) => {
    for (const after of ["", "x", "{}", Buffer.from("[1]").toString("base64url")])
      await assert.rejects(store.news({ tenant, after, limit: 1 }), (error) => hasCode(error, "argument_invalid"));
  });

  check(
    "scope-is-in-the-key: news of one tenant, with its streams and without its other inner records",
    async (bench) => {
      const { store, tenant } = bench;
      const after = await begun(bench);
      await beganOf(store, `${tenant} other`);
      await land(store, creationOf(bench.record({ id: "other", tenant: `${tenant} other` })));
      await land(store, creationOf(bench.record({ id: "pointer", tenant: `${tenant}\u0001devices` })));
      const stream = await land(store, creationOf(bench.record({ id: "stream", tenant: streamScope(tenant) })));
      await store.commit([[samplePut({ tenant: `${tenant} other`, scope: "s", key: "k" }, { version: 1 })]]);
      const { changes } = await store.news({ tenant, after, limit: 10 });
      assert.deepEqual(
        changes.map((change) => "session" in change && change.session),
        [{ tenant: streamScope(tenant), id: "stream" }],
      );
      const [change] = changes;
      assert.deepEqual(change !== undefined && "session" in change && change.record, stream);
    },
  );

  check("news-last: a cursor is continued after ten minutes without a reader", async (bench, context) => {
    const { store, tenant, clock } = bench;
    if (clock === undefined) {
      context.skip("the harness has no clock to set");
      return;
    }
    const first = await begun(bench);
    clock.set(clock.now() + minute / 2);
    const after = await next(store, { tenant, after: first });
    for (let n = 0; n < 10; n++) {
      await land(store, creationOf(bench.record({ id: `session-${n}` })));
      clock.set(clock.now() + minute);
    }
    const { changes } = await read(store, { tenant, after });
    assert.equal(Object.keys(changes).length, 10);
  });

  check(
    "old-news-are-deleted: a reader that reads on keeps its cursor, and an old one is a reset",
    async (bench, context) => {
      const { store, tenant, clock } = bench;
      if (clock === undefined) {
        context.skip("the harness has no clock to set");
        return;
      }
      const first = await begun(bench);
      let after = first;
      for (let n = 0; n < 40; n++) {
        const { id } = await land(store, creationOf(bench.record({ id: `session-${n}` })));
        clock.set(clock.now() + minute);
        const page = await store.news({ tenant, after, limit: 10 });
        assert.equal(page.isReset, false);
        assert.deepEqual(Object.keys(changesOf(page)), [id]);
        after = page.next!;
      }
      assert.equal((await store.news({ tenant, after: first, limit: 10 })).isReset, true);
    },
  );

  check(
    "news-are-subscribed: a subscription without a reader expires, and its cursors are resets",
    async (bench, context) => {
      const { store, tenant, clock } = bench;
      if (clock === undefined) {
        context.skip("the harness has no clock to set");
        return;
      }
      const after = await begun(bench);
      clock.set(clock.now() + 16 * minute);
      await land(store, creationOf(bench.record({ id: "unseen" })));
      // A reader whose clock is behind does not continue it either.
      clock.set(clock.now() - 10 * minute);
      const page = await store.news({ tenant, after, limit: 10 });
      assert.equal(page.isReset, true);
      const record = await land(store, creationOf(bench.record({ id: "seen" })));
      assert.deepEqual((await read(store, { tenant, after: page.next! })).changes, { seen: record.version });
      clock.set(clock.now() + 16 * minute);
      await store.heartbeat(sampleInstance(`${tenant} any`));
      assert.equal((await store.news({ tenant, after: page.next!, limit: 10 })).isReset, true);
    },
  );

  check("scrubbed-is-deleted: the keys in the news, so its cursors are resets", async (bench) => {
    const { store, tenant } = bench;
    const after = await begun(bench);
    await land(store, creationOf(bench.record({ id: "named" })));
    await store.scrub();
    const page = await until(() => store.news({ tenant, after, limit: 10 }));
    assert.equal(page.isReset, true);
  });
}

/** The first cursor of the case's tenant. */
async function begun({ store, tenant }: Bench): Promise<string> {
  return await beganOf(store, tenant);
}

async function beganOf(store: Store, tenant: string): Promise<string> {
  return (await until(() => store.news({ tenant, limit: 10 }))).next!;
}

/** The first page with a cursor: a subscription may wait for commits that are under way. */
async function until(ask: () => Promise<FoundNews>): Promise<FoundNews> {
  for (;;) {
    const page = await ask();
    if (page.next !== undefined) return page;
    await pause(5);
  }
}

type Asked = Pick<NewsQuery, "tenant" | "after">;

/** One page that is no reset. */
async function page(store: Store, query: Asked): Promise<FoundNews> {
  const found = await store.news({ ...query, limit: 100 });
  assert.equal(found.isReset, false, "no reset");
  return found;
}

async function next(store: Store, query: Asked): Promise<string> {
  return (await page(store, query)).next!;
}

/** The versions by the names of sessions and documents. */
async function read(
  store: Store,
  query: Asked,
): Promise<{ readonly changes: Readonly<Record<string, unknown>>; readonly hasMore: boolean }> {
  const found = await page(store, query);
  return { changes: changesOf(found), hasMore: found.hasMore };
}

/** The names on each page after a cursor, up to the last page. */
async function pagesAfter(
  store: Store,
  query: NewsQuery,
): Promise<{ readonly found: readonly (readonly string[])[]; readonly after: string }> {
  const found: string[][] = [];
  let after = query.after!;
  for (let [more, pages] = [true, 0]; more; pages++) {
    assert.ok(pages < 20, "the pages end");
    const page = await store.news({ ...query, after });
    if (page.changes.length > 0) found.push(Object.keys(changesOf(page)));
    [after, more] = [page.next!, page.hasMore];
  }
  return { found, after };
}

function changesOf({ changes }: FoundNews): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    changes.map((change) => {
      if ("document" in change) {
        const { scope, key } = change.document;
        return [`${scope}/${key}`, change.version ?? "removed"];
      }
      const { session, record } = change;
      return [session.id, record === undefined ? "removed" : "version" in record ? record.version : "unreadable"];
    }),
  );
}
