import assert from "node:assert/strict";
import type { DocumentChange, DocumentKey, StoredDocument } from "../../../domain/documents/document.ts";
import type { Transaction } from "../../../domain/record/change.ts";
import { defined } from "../../../domain/values/defined.ts";
import type { DocumentConflict, Outcome, Store } from "../../../store/store.ts";
import { creationOf, samplePut, sampleRemoval, sampleSplice, stepOf } from "../../samples.ts";
import { keyOf, land, see, type Bench, type Check } from "../bench.ts";

/** Writes of documents: alone, together, and with sessions. */
export function documentCommitCases(check: Check): void {
  check("document-is-compared: a put finds the version that it expects, or any", async (bench) => {
    const { store } = bench;
    const document = documentIn(bench, "compared");
    await write(store, samplePut(document, { version: 10, expected: "absent" }));
    const [first] = await read(store, document);
    assert.deepEqual(first, storedOf(samplePut(document, { version: 10 })));
    for (const change of [
      samplePut(document, { version: 20, expected: "absent" }),
      samplePut(document, { version: 20, expected: 9 }),
      samplePut(document, { version: 20, expected: 11 }),
      sampleRemoval(document, { version: 20, expected: 11 }),
    ]) {
      const conflict = await refuseDocument(store, change);
      assert.deepEqual(conflict, { status: "document_conflict", key: document, current: first, lastVersion: 10 });
    }
    assert.deepEqual(await read(store, document), [first]);
    await write(store, samplePut(document, { version: 20, expected: 10, createdAt: 7, updatedAt: 8, user: "ada" }));
    const [second] = await read(store, document);
    const changed = samplePut(document, { version: 20, updatedAt: 8, user: "ada" });
    assert.deepEqual(second, storedOf(changed), "the time of creation stays");
    await write(store, samplePut(document, { version: 30 }));
    await write(store, samplePut(document, { version: 40, expected: "present" }));
    assert.equal((await read(store, document))[0]?.version, 40);
  });

  check("document-is-compared: a document that is absent, or has expired", async (bench) => {
    const { store } = bench;
    const { now } = await store.load([]);
    const absent = documentIn(bench, "absent");
    for (const expected of ["present", 1] as const) {
      const conflict = { status: "document_conflict", key: absent, current: undefined, lastVersion: 0 } as const;
      assert.deepEqual(await refuseDocument(store, samplePut(absent, { version: 5, expected })), conflict);
      assert.deepEqual(await refuseDocument(store, sampleRemoval(absent, { version: 5, expected })), conflict);
    }
    await write(store, sampleRemoval(absent, { version: 5 }));
    assert.deepEqual(await read(store, absent), []);

    const expired = documentIn(bench, "expired");
    await write(store, samplePut(expired, { version: 5, expiresAt: now - 1, createdAt: 3 }));
    for (const expected of ["present", 5] as const) {
      const conflict = { status: "document_conflict", key: expired, current: undefined, lastVersion: 5 } as const;
      assert.deepEqual(await refuseDocument(store, samplePut(expired, { version: 6, expected })), conflict);
    }
    await write(store, samplePut(expired, { version: 6, expected: "absent", createdAt: 4 }));
    assert.equal((await read(store, expired))[0]?.createdAt, 4, "it is another document");
  });

  check("document-versions-grow: while the document lives, and after it expired or was removed", async (bench) => {
    const { store } = bench;
    const { now } = await store.load([]);
    const document = documentIn(bench, "grows");
    await write(store, samplePut(document, { version: 10 }));
    const [standing] = await read(store, document);
    for (const version of [1, 9, 10])
      for (const change of [samplePut(document, { version }), sampleRemoval(document, { version })]) {
        const conflict = await refuseDocument(store, change);
        assert.deepEqual(conflict, { status: "document_conflict", key: document, current: standing, lastVersion: 10 });
      }
    await write(store, sampleRemoval(document, { version: 11, expected: 10 }));
    assert.deepEqual(await read(store, document), []);
    const again = await refuseDocument(store, samplePut(document, { version: 11, expected: "absent" }));
    assert.deepEqual(again, { status: "document_conflict", key: document, current: undefined, lastVersion: 11 });
    await write(store, samplePut(document, { version: 12, expected: "absent", expiresAt: now - 1 }));
    assert.equal((await refuseDocument(store, samplePut(document, { version: 12 }))).lastVersion, 12);
    await write(store, samplePut(document, { version: 13 }));
  });

  check("document-versions-grow: a touch leaves the version, and revives nothing", async (bench) => {
    const { store } = bench;
    const { now } = await store.load([]);
    const document = documentIn(bench, "touched");
    const touch = (expiresAt: number): DocumentChange => ({ kind: "touch", document, expected: "present", expiresAt });
    assert.equal((await refuseDocument(store, touch(now + 60_000))).lastVersion, 0);
    await write(store, samplePut(document, { version: 10, user: "ada" }));
    const [before] = await read(store, document);
    await write(store, touch(now + 600_000));
    assert.deepEqual(await read(store, document), [{ ...before, expiresAt: now + 600_000 }]);
    await write(store, touch(now - 1));
    assert.deepEqual(await read(store, document), []);
    const refused = await refuseDocument(store, touch(now + 600_000));
    assert.deepEqual(refused, { status: "document_conflict", key: document, current: undefined, lastVersion: 10 });
    await write(store, sampleRemoval(document, { version: 11 }));
    await refuseDocument(store, touch(now + 600_000));
    assert.deepEqual(await read(store, document), []);
  });

  check("expiry-is-kept: a put that keeps the time of expiry finds that of a touch", async (bench) => {
    const { store } = bench;
    const { now } = await store.load([]);
    const document = documentIn(bench, "kept");
    const keep = (version: number, expected?: number): DocumentChange =>
      samplePut(document, { version, expiresAt: "kept", ...defined({ expected }) });
    const expiry = async (): Promise<number | null | undefined> => (await read(store, document))[0]?.expiresAt;
    await write(store, keep(1));
    assert.equal(await expiry(), null, "there was no document");
    await write(store, samplePut(document, { version: 2, expiresAt: now + 3_600_000 }));
    await write(store, { kind: "touch", document, expected: "present", expiresAt: now + 7_200_000 });
    await write(store, keep(3, 2));
    assert.deepEqual(await read(store, document), [
      storedOf(samplePut(document, { version: 3, expiresAt: now + 7_200_000 })),
    ]);
    await write(store, keep(4));
    assert.equal(await expiry(), now + 7_200_000, "whatever the version");
    await write(store, samplePut(document, { version: 5, expiresAt: now - 1 }));
    await write(store, keep(6));
    assert.equal(await expiry(), null, "an expired document has none");
    await write(store, sampleRemoval(document, { version: 7 }));
    await write(store, keep(8));
    assert.equal(await expiry(), null, "a removed document has none");
  });

  check("documents-land-together: the changes of a transaction land together, or none of them", async (bench) => {
    const { store } = bench;
    const [one, two, three] = ["one", "two", "three"].map((key) => documentIn(bench, key));
    assert.ok(one && two && three);
    const born = creationOf(bench.record({ id: "beside" }), { splices: [sampleSplice("turns", 1, ["first"])] });
    const puts = [
      samplePut(two, { version: 1, expected: "absent" }),
      samplePut(one, { version: 1, expected: "absent" }),
    ];
    await write(store, born, ...puts);
    assert.ok(born.record);
    assert.deepEqual(
      await read(store, one, two),
      [puts[1], puts[0]].map((put) => storedOf(put!)),
    );
    const before = await see(store, keyOf(born.record), ["turns"]);
    assert.deepEqual(before?.record, born.record);

    const step = stepOf(born.record, { splices: [sampleSplice("turns", 2, ["second"])] });
    const late = await refuseDocument(
      store,
      step,
      samplePut(three, { version: 2 }),
      samplePut(one, { version: 2, expected: 7 }),
    );
    assert.deepEqual([late.key, late.current?.version], [one, 1]);
    assert.deepEqual(await see(store, keyOf(born.record), ["turns"]), before, "no session has changed");
    assert.deepEqual(await read(store, three), []);

    const next = await land(store, step);
    const refused = await commitTransaction(store, [step, samplePut(three, { version: 2 })]);
    assert.deepEqual(refused, { status: "conflict", current: next });
    assert.deepEqual(await read(store, three), [], "no document has changed");
    const claimed = stepOf(next, {
      splices: [sampleSplice("turns", 3, [{ key: "k", value: "third" }])],
      claims: [{ log: "turns", key: "k" }],
    });
    await write(store, claimed, samplePut(three, { version: 3 }));
    const again = await commitTransaction(store, [
      stepOf(claimed.record!, { claims: [{ log: "turns", key: "k" }] }),
      sampleRemoval(three, { version: 4 }),
    ]);
    assert.equal(again.status, "duplicate");
    assert.equal((await read(store, three))[0]?.version, 3);
  });

  check("documents-land-together: transactions of one batch are separate", async (bench) => {
    const { store } = bench;
    const keys = Array.from({ length: 20 }, (_, n) => documentIn(bench, `batch ${n}`));
    await write(store, samplePut(keys[3]!, { version: 1 }), samplePut(keys[7]!, { version: 1 }));
    const batch = keys.map((key): Transaction => [samplePut(key, { version: 2, expected: "absent" })]);
    const outcomes = await store.commit(batch);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      keys.map((_, n) => (n === 3 || n === 7 ? "document_conflict" : "ok")),
    );
    const found = await read(store, ...keys);
    assert.deepEqual(
      new Map(found.map(({ key, version }) => [key, version])),
      new Map(keys.map(({ key }, n) => [key, n === 3 || n === 7 ? 1 : 2])),
    );
  });

  check("document-is-compared: of two handles that race, one lands", async (bench) => {
    const stores = bench.store.capabilities.shared
      ? [bench.store, await bench.openAnother()]
      : [bench.store, bench.store];
    for (let round = 0; round < 40; round++) {
      const created = documentIn(bench, `created ${round}`);
      const puts = stores.map((_, n) => samplePut(created, { version: 1 + n, expected: "absent" }));
      const outcomes = await Promise.all(stores.map((store, n) => commitTransaction(store, [puts[n]!])));
      assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ["document_conflict", "ok"]);
    }
    const document = documentIn(bench, "race");
    let expected: number | "absent" = "absent";
    for (let round = 0; round < 20; round++) {
      const puts = stores.map((_, n) => samplePut(document, { version: 10 * (round + 1) + n, expected }));
      const outcomes = await Promise.all(stores.map((store, n) => commitTransaction(store, [puts[n]!])));
      assert.deepEqual(outcomes.map(({ status }) => status).sort(), ["document_conflict", "ok"]);
      const [standing] = await read(bench.store, document);
      expected = puts[outcomes.findIndex(({ status }) => status === "ok")]!.version;
      assert.equal(standing?.version, expected);
      for (const outcome of outcomes)
        if (outcome.status === "document_conflict") assert.deepEqual(outcome.current, standing);
    }
  });

  check("values-are-kept: every value and key of a document", async (bench) => {
    const { store, tenant } = bench;
    const data = JSON.stringify({ nul: "\u0000", half: "\ud800", long: "x".repeat(1024 * 1024), astral: "😀" });
    const key = { tenant, scope: "__proto__", key: "ключ 😀 \u2028 " };
    const version = Number.MAX_SAFE_INTEGER - 1;
    const put = samplePut(key, { version, user: "Ω ", createdAt: 1, updatedAt: 2 ** 50, expiresAt: 2 ** 52, data });
    await write(store, put);
    assert.deepEqual(await read(store, key), [storedOf(put)]);
  });
}

export function documentIn({ tenant }: Bench, key: string, scope = "scope"): DocumentKey {
  return { tenant, scope, key };
}

export function storedOf({
  document,
  version,
  user,
  createdAt,
  updatedAt,
  expiresAt,
  data,
}: ReturnType<typeof samplePut>): StoredDocument {
  assert.ok(expiresAt !== "kept");
  return { ...document, version, user, createdAt, updatedAt, expiresAt, data };
}

export async function read(store: Store, ...keys: readonly DocumentKey[]): Promise<readonly StoredDocument[]> {
  const { documents, next } = await store.documents({ keys });
  assert.equal(next, undefined);
  return documents.map((document) => ({ ...document }));
}

async function commitTransaction(store: Store, transaction: Transaction): Promise<Outcome> {
  const outcomes = await store.commit([transaction]);
  assert.equal(outcomes.length, 1, "one outcome for one transaction");
  return outcomes[0]!;
}

/** Commit changes that must land. */
export async function write(store: Store, ...transaction: Transaction): Promise<void> {
  assert.deepEqual(await commitTransaction(store, transaction), { status: "ok" });
}

async function refuseDocument(store: Store, ...transaction: Transaction): Promise<DocumentConflict> {
  const outcome = await commitTransaction(store, transaction);
  assert.ok(outcome.status === "document_conflict", `a conflict of a document, not ${outcome.status}`);
  return { ...outcome, current: outcome.current && { ...outcome.current } };
}
