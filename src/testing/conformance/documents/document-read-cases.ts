import assert from "node:assert/strict";
import type { DocumentKey } from "../../../domain/documents/document.ts";
import type { DocumentPaging, DocumentRange, Store } from "../../../store/store.ts";
import { samplePut, sampleRemoval } from "../../samples.ts";
import type { Check } from "../bench.ts";
import { documentIn, read, write } from "./document-commit-cases.ts";

/** Keys in the order of their code points, which is not that of UTF-16 nor of a language. */
const ordered = [
  "A",
  "Z",
  "a",
  "a ",
  "a/",
  "a/b",
  "a0",
  "b",
  "z",
  "é",
  "\ud7ff",
  "\ue000",
  "\uffee",
  "😀",
  "\u{10ffff}",
];

/** Reads, counts and deletions of documents. */
export function documentReadCases(check: Check): void {
  check("documents-are-found: by key in code point order, page by page", async (bench) => {
    const { store, tenant } = bench;
    const keys = ordered.map((key) => documentIn(bench, key));
    for (const key of keys.toReversed()) await write(store, samplePut(key, { version: 1 }));
    await write(store, samplePut(documentIn(bench, "m", "scopd"), { version: 1 }));
    await write(store, samplePut(documentIn(bench, "m", "scope "), { version: 1 }));
    const range = { tenant, scope: "scope" };
    for (const limit of [1, 2, 5, keys.length, 100]) {
      const { pages, found } = await walk(store, { ...range, limit });
      assert.deepEqual(found, ordered);
      assert.equal(pages, Math.max(1, Math.ceil(keys.length / limit)), `no empty page at the end of ${limit}`);
    }
    for (const [from, to] of [
      ["a", "b"],
      ["a/", "a0"],
      ["a", "a"],
      ["A", "\u{10ffff}"],
      ["0", "zz"],
    ] as const) {
      const within = ordered.filter((key) => compare(key, from) >= 0 && compare(key, to) < 0);
      assert.deepEqual((await walk(store, { ...range, from, to, limit: 2 })).found, within, `${from} to ${to}`);
      assert.equal(await store.countDocuments({ ...range, from, to }), within.length);
      assert.deepEqual((await walk(store, { ...range, from, limit: 3 })).found.slice(0, within.length), within);
    }
    const after = documentIn(bench, "a.");
    const [next] = (await store.documents({ ...range, after, limit: 1 })).documents;
    assert.equal(next?.key, "a/", "no document has the key that the page begins after");
    assert.equal((await walk(store, { tenant, limit: 4 })).found.length, keys.length + 2);
    assert.equal(await store.countDocuments({ tenant }), keys.length + 2);
    const reversed = await read(store, ...keys.toReversed(), documentIn(bench, "none"));
    assert.deepEqual(
      reversed.map(({ key }) => key),
      ordered,
      "by their keys, in order",
    );
  });

  check(
    "documents-are-bounded: a page has at most its bytes, and the first document whatever its size",
    async (bench) => {
      const { store, tenant } = bench;
      const sizes = [10, 500, 10, 10, 10, 600, 10];
      for (const [n, size] of sizes.entries())
        await write(store, samplePut(documentIn(bench, `${n}`), { version: 1, data: `"${"é".repeat(size / 2 - 1)}"` }));
      const range = { tenant, scope: "scope", limit: 5, bytesMax: 30 };
      const counts: number[] = [];
      let after: DocumentKey | undefined;
      do {
        const page = await store.documents({ ...range, ...(after && { after }) });
        counts.push(page.documents.length);
        assert.ok(counts.length <= sizes.length, "the pages end");
        after = page.next;
      } while (after !== undefined);
      assert.deepEqual(counts, [1, 1, 3, 1, 1]);
      assert.equal((await store.documents({ ...range, bytesMax: 0 })).documents.length, 1);
    },
  );

  check("expired-is-unseen: no page, count or key finds an expired or removed document", async (bench) => {
    const { store, tenant } = bench;
    const { now } = await store.load([]);
    const keys = ["a", "b", "c", "d"].map((key) => documentIn(bench, key));
    const [a, b, c, d] = keys;
    assert.ok(a && b && c && d);
    await write(store, samplePut(a, { version: 1, expiresAt: now + 3_600_000 }));
    await write(store, samplePut(b, { version: 1, expiresAt: now - 1 }));
    await write(store, samplePut(c, { version: 1 }));
    await write(store, sampleRemoval(c, { version: 2 }));
    await write(store, samplePut(d, { version: 1 }));
    const range = { tenant, scope: "scope" };
    assert.deepEqual((await walk(store, { ...range, limit: 1 })).found, ["a", "d"]);
    assert.equal(await store.countDocuments(range), 2);
    assert.deepEqual(
      (await read(store, ...keys)).map(({ key }) => key),
      ["a", "d"],
    );
    if (bench.clock === undefined) return;
    bench.clock.set(now + 3_600_000 - 1);
    assert.deepEqual((await walk(store, { ...range, limit: 9 })).found, ["a", "d"]);
    bench.clock.set(now + 3_600_000);
    assert.deepEqual((await walk(store, { ...range, limit: 9 })).found, ["d"]);
  });

  check("scope-is-in-the-key: documents of other tenants and scopes stay apart", async (bench) => {
    const { store, tenant } = bench;
    const places = ["", "x", " "].flatMap((end) =>
      ["s", "S", "s ", "s/"].map((scope) => ({ tenant: tenant + end, scope })),
    );
    for (const [n, place] of places.entries())
      for (const key of ["k", "K"])
        await write(store, samplePut({ ...place, key }, { version: n + 1, user: "ada", expected: "absent" }));
    for (const [n, place] of places.entries()) {
      const { documents } = await store.documents({ ...place, limit: 9 });
      assert.deepEqual(
        documents.map(({ key, version }) => [key, version]),
        [
          ["K", n + 1],
          ["k", n + 1],
        ],
      );
      assert.equal(await store.countDocuments(place), 2);
      await write(store, sampleRemoval({ ...place, key: "K" }, { version: 100, expected: n + 1 }));
      assert.equal(await store.countDocuments(place), 1);
    }
    assert.equal(await store.countDocuments({ tenant, user: "ada" }), 4);
    assert.equal(await store.deleteDocuments({ tenant, user: "ada", limit: 100 }), 4);
    assert.equal(await store.countDocuments({ tenant }), 0);
    assert.equal(await store.countDocuments({ tenant: `${tenant}x` }), 4);
  });

  check("documents-are-found: those of one user, in all scopes", async (bench) => {
    const { store, tenant } = bench;
    const { now } = await store.load([]);
    for (let n = 0; n < 9; n++) {
      const user = n % 3 === 0 ? "ada" : n === 1 ? "Ada" : null;
      const place = { tenant, scope: `s${n % 2}`, key: `${n}` };
      await write(store, samplePut(place, { version: 5, user }));
    }
    await write(store, samplePut(documentIn(bench, "expired"), { version: 5, user: "ada", expiresAt: now - 1 }));
    await write(store, samplePut(documentIn(bench, "handed on"), { version: 5, user: "ada" }));
    await write(store, samplePut(documentIn(bench, "handed on"), { version: 6, user: "eve", expected: 5 }));
    const ofAda = { tenant, user: "ada" };
    assert.equal(await store.countDocuments(ofAda), 3);
    for (const limit of [1, 2, 3, 9])
      assert.deepEqual((await walk(store, { ...ofAda, limit })).found, ["0", "6", "3"], `${limit} a page`);
  });

  check("deleted-documents-are-gone: those of a user, also expired ones, in bounded steps", async (bench) => {
    const { store, tenant } = bench;
    const { now } = await store.load([]);
    for (let n = 0; n < 10; n++) {
      const user = n % 2 === 0 ? "ada" : n === 1 ? "Ada" : null;
      await write(
        store,
        samplePut(documentIn(bench, `${n}`), { version: 5, user, expiresAt: n === 4 ? now - 1 : null }),
      );
    }
    const ofAda = { tenant, user: "ada" };
    assert.equal(await store.deleteDocuments({ ...ofAda, limit: 3 }), 3);
    assert.equal(await store.deleteDocuments({ ...ofAda, limit: 3 }), 2);
    assert.equal(await store.deleteDocuments({ ...ofAda, limit: 3 }), 0);
    assert.deepEqual((await walk(store, { tenant, scope: "scope", limit: 3 })).found, ["1", "3", "5", "7", "9"]);
    await write(store, samplePut(documentIn(bench, "0"), { version: 1, expected: "absent" }));
  });

  check("deleted-documents-are-gone: those that expired or were removed before a time", async (bench) => {
    const { store, tenant } = bench;
    const { now } = await store.load([]);
    const key = (n: number): DocumentKey => documentIn(bench, `${n}`);
    for (let n = 0; n < 5; n++)
      await write(store, samplePut(key(n), { version: 5, updatedAt: 1, expiresAt: now - 1000 + n }));
    await write(store, samplePut(key(5), { version: 5, expiresAt: now + 3_600_000 }));
    await write(store, samplePut(key(6), { version: 5 }));
    await write(store, samplePut(key(7), { version: 5 }));
    await write(store, sampleRemoval(key(7), { version: 6, updatedAt: now }));
    assert.equal(await store.deleteDocuments({ tenant, before: now - 997, limit: 2 }), 2);
    assert.equal(await store.deleteDocuments({ tenant, before: now - 997, limit: 2 }), 1);
    assert.equal(await store.deleteDocuments({ tenant, before: now - 997, limit: 2 }), 0);
    await write(store, samplePut(key(0), { version: 1, expected: "absent" }));
    const { now: later } = await store.load([]);
    assert.equal(await store.deleteDocuments({ tenant, before: later + 60_000, limit: 100 }), 3);
    await write(store, samplePut(key(7), { version: 1, expected: "absent" }));
    assert.deepEqual((await walk(store, { tenant, scope: "scope", limit: 9 })).found, ["0", "5", "6", "7"]);
    await write(store, sampleRemoval(key(7), { version: 2 }));
    const past = { before: later + 60_000, limit: 100 };
    assert.equal(await store.deleteDocuments({ tenant: `${tenant}x`, ...past }), 0, "of another tenant");
    assert.equal(await store.deleteDocuments({ tenant, ...past }), 1);
    await write(store, samplePut(key(8), { version: 1, updatedAt: 1, expiresAt: now - 1 }));
    // Of all tenants: other cases have left some as well.
    while ((await store.deleteDocuments(past)) === past.limit);
    await write(store, samplePut(key(8), { version: 1, expected: "absent" }));
  });

  check("documents-land-together: handles of a shared store see each other's documents", async (bench) => {
    if (!bench.store.capabilities.shared) return;
    const other = await bench.openAnother();
    const key = documentIn(bench, "shared");
    await write(bench.store, samplePut(key, { version: 1 }));
    assert.equal((await read(other, key))[0]?.version, 1);
    await write(other, sampleRemoval(key, { version: 2, expected: 1 }));
    assert.deepEqual(await read(bench.store, key), []);
  });
}

/** The keys on all pages, and the number of pages. */
async function walk(
  store: Store,
  range: DocumentRange & DocumentPaging,
): Promise<{ readonly found: readonly string[]; readonly pages: number }> {
  const found: string[] = [];
  let pages = 0;
  for (let after: DocumentKey | undefined; ;) {
    const page = await store.documents({ ...range, ...(after && { after }) });
    assert.ok(page.documents.length <= range.limit);
    found.push(...page.documents.map(({ key }) => key));
    pages++;
    assert.ok(pages < 100, "the pages end");
    after = page.next;
    if (after === undefined) return { found, pages };
  }
}

function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
