import assert from "node:assert/strict";
import { removeSession } from "../../../domain/record/lifecycle.ts";
import type { LabelFilter } from "../../../domain/values/labels.ts";
import type { SessionQuery } from "../../../store/store.ts";
import { creationOf, stepOf } from "../../samples.ts";
import { commitOne, land, type Bench, type Check } from "../bench.ts";
import { create, inOrder, minute, noon, pages, recent, type Fields } from "./find-cases.ts";

const any = true as const;
const longName = "\u{1f9c1}".repeat(32);
const longValue = "\uffee".repeat(256);

export function labelCases(check: Check): void {
  const sessions: readonly Fields[] = [
    { id: "both", agent: "ceo", user: "ann", labels: { team: "ops", tier: "1" } },
    { id: "ops", agent: "cfo", user: "ann", labels: { team: "ops" } },
    { id: "sales", agent: "ceo", user: "bob", labels: { team: "sales", tier: "2" } },
    { id: "empty", labels: { team: "" } },
    { id: "quotes", labels: { "it's": 'a "label" \\ ?' } },
    { id: "pattern", labels: { team: "%" } },
    { id: "odd", labels: { constructor: "x", hasOwnProperty: "\u{1f9c1} é", [longName]: longValue } },
    { id: "upper", labels: { Team: "ops" } },
    { id: "none" },
  ];
  const filters: readonly [string, LabelFilter, readonly string[]][] = [
    ["a value", { team: "ops" }, ["both", "ops"]],
    ["a name", { team: true }, ["both", "empty", "ops", "pattern", "sales"]],
    ["two labels", { team: "ops", tier: "1" }, ["both"]],
    ["a value and a name", { team: "sales", tier: true }, ["sales"]],
    ["two names", { team: true, tier: true }, ["both", "sales"]],
    ["labels that no session has together", { team: "ops", tier: "2" }, []],
    ["an empty value", { team: "" }, ["empty"]],
    ["a value that is a pattern elsewhere", { team: "%" }, ["pattern"]],
    ["quotation marks", { "it's": 'a "label" \\ ?' }, ["quotes"]],
    ["a name that objects have", { constructor: any }, ["odd"]],
    ["the longest label", { [longName]: longValue }, ["odd"]],
    ["an unknown value", { team: "Ops" }, []],
    ["an unknown name", { toString: any }, []],
    ["no labels", {}, sessions.map(({ id }) => id).toSorted()],
  ];
  for (const [what, labels, expected] of filters) {
    check(`labels-are-found: by ${what}, in each order`, async (bench) => {
      // Neither order is that of the creation of the rows.
      await create(
        bench,
        sessions.map((fields, index) => ({
          ...fields,
          createdAt: noon + ((index * 7) % 10),
          lastActivityAt: noon + ((index * 3) % 10) * minute,
        })),
      );
      for (const query of everyOrder(bench)) {
        const all = inOrder(await pages(bench.store, { ...query, limit: 100 }));
        for (const limit of [1, 2, 100])
          assert.deepEqual(
            inOrder(await pages(bench.store, { ...query, labels, limit } as SessionQuery)),
            all.filter((id) => expected.includes(id)),
            `${query.order} by ${limit}`,
          );
      }
      assert.equal(await bench.store.count({ tenant: bench.tenant, now: noon, labels }), expected.length);
    });
  }

  check("labels-are-found: beside the other filters", async (bench) => {
    await create(bench, sessions);
    const { store, tenant } = bench;
    const found = async (fields: Parameters<typeof recent>[1]): Promise<string[]> => {
      const ids = inOrder(await pages(store, recent(bench, fields)));
      assert.equal(await store.count({ tenant, now: noon, ...fields }), ids.length);
      return ids;
    };
    assert.deepEqual(await found({ labels: { team: "ops" }, agent: "ceo" }), ["both"]);
    assert.deepEqual(await found({ labels: { team: true }, user: "bob" }), ["sales"]);
    assert.deepEqual(await found({ labels: { team: true }, user: "ann", agent: "cfo" }), ["ops"]);
    assert.deepEqual(await found({ labels: { team: "ops" }, states: ["ended"] }), []);
  });

  check("labels-are-found: a session is found by the labels that it has now", async (bench) => {
    const { store, tenant } = bench;
    const [record] = await create(bench, [{ id: "one", labels: { team: "ops", tier: "1" }, createdAt: noon }]);
    assert.ok(record);
    const count = async (labels: LabelFilter): Promise<number> => {
      const counted = await store.count({ tenant, now: noon, labels });
      for (const query of everyOrder(bench))
        assert.equal((await store.find({ ...query, labels } as SessionQuery)).records.length, counted);
      return counted;
    };
    const changed = await land(store, stepOf(record, { fields: { labels: { team: "sales", tier: "1" } } }));
    assert.deepEqual(
      [await count({ team: "ops" }), await count({ team: "sales" }), await count({ tier: "1" })],
      [0, 1, 1],
    );
    // A reset gives the session another time of creation.
    const reset = await land(store, stepOf(changed, { fields: { createdAt: noon + 5 } }));
    const older = creationOf(bench.record({ id: "older", labels: { team: "sales" }, createdAt: noon + 3 }));
    await commitOne(store, older);
    const created = recent(bench, { order: "created", labels: { team: "sales" } });
    assert.deepEqual(inOrder((await store.find(created)).records), ["one", "older"]);
    const bare = await land(store, stepOf(reset, { fields: { labels: {} } }));
    assert.deepEqual([await count({ team: "sales" }), await count({ tier: true })], [1, 0]);
    const labelled = await land(store, stepOf(bare, { fields: { labels: { team: "ops" } } }));
    assert.equal(await count({ team: "ops" }), 1);
    await commitOne(store, removeSession(labelled));
    assert.equal(await count({ team: "ops" }), 0);
    await commitOne(store, creationOf(bench.record({ id: "one" })));
    assert.equal(await count({ team: true }), 1, "a later session under the id has no labels");
  });

  check("labels-are-found: a session that takes over logs has its own labels", async (bench) => {
    const { store } = bench;
    const [giver, taker] = await create(bench, [
      { id: "giver", labels: { team: "ops" } },
      { id: "taker", labels: { team: "sales" } },
    ]);
    assert.ok(giver && taker);
    const takes = { ...stepOf(taker), logsOf: { tenant: bench.tenant, id: "giver" } };
    assert.deepEqual(await store.commit([[takes, removeSession(giver)]]), [{ status: "ok" }]);
    const found = async (labels: LabelFilter): Promise<string[]> =>
      inOrder((await store.find(recent(bench, { labels }))).records);
    assert.deepEqual([await found({ team: "ops" }), await found({ team: "sales" })], [[], ["taker"]]);
  });

  check("scope-is-in-the-key: labels of another tenant find nothing", async (bench) => {
    const { store, tenant } = bench;
    const other = `${tenant} other`;
    await create(bench, [
      { id: "one", labels: { team: "ops" } },
      { id: "one", tenant: other, labels: { team: "sales" } },
    ]);
    for (const query of everyOrder(bench)) {
      const find = async (labels: LabelFilter): Promise<number> =>
        (await store.find({ ...query, labels } as SessionQuery)).records.length;
      assert.deepEqual(
        [await find({ team: "ops" }), await find({ team: "sales" }), await find({ team: true })],
        [1, 0, 1],
      );
    }
    assert.equal(await store.count({ tenant: other, now: noon, labels: { team: true } }), 1);
    assert.equal(await store.count({ tenant: other, now: noon, labels: { team: "ops" } }), 0);
  });

  check("labels-are-found: a refused change of labels changes nothing", async (bench) => {
    const { store, tenant } = bench;
    const [record] = await create(bench, [{ id: "one", labels: { team: "ops" } }]);
    assert.ok(record);
    await land(store, stepOf(record, { fields: { title: "first" } }));
    const stale = await commitOne(store, stepOf(record, { fields: { title: "second", labels: { team: "sales" } } }));
    assert.equal(stale.status, "conflict");
    assert.equal(stale.status === "conflict" ? stale.current?.title : undefined, "first");
    assert.equal(await store.count({ tenant, now: noon, labels: { team: "sales" } }), 0);
    assert.equal(await store.count({ tenant, now: noon, labels: { team: "ops" } }), 1);
  });
}

function everyOrder(bench: Bench): readonly SessionQuery[] {
  return [
    recent(bench),
    recent(bench, { order: "created" }),
    { order: "key", tenant: bench.tenant, now: noon, limit: 100 },
  ];
}
