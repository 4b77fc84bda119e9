import assert from "node:assert/strict";
import { test } from "node:test";
import type { RecordRow } from "../../row.ts";
import { Places } from "./places.ts";

const row = { version: 1, commitId: "c" } as RecordRow;

function put(places: Places, tenant: string, id: string, no: number): void {
  places.set({ tenant, id }, row, {}, no);
}

test("a session of another tenant with the same id has a place of its own", () => {
  const places = new Places();
  put(places, "a", "s", 1);
  put(places, "b", "s", 2);
  assert.equal(places.get({ tenant: "a", id: "s" })?.no, 1);
  assert.equal(places.get({ tenant: "b", id: "s" })?.no, 2);
  assert.equal(places.get({ tenant: "c", id: "s" }), undefined);
  assert.equal(places.get({ tenant: "a", id: "t" }), undefined);
});

test("the places that were used least recently go, those of all tenants together", () => {
  const places = new Places();
  put(places, "early", "s", 1);
  put(places, "used", "s", 2);
  for (let no = 10; no < 10_010; no++) {
    put(places, `t_${no % 3}`, `s_${no}`, no);
    assert.equal(places.get({ tenant: "used", id: "s" })?.no, 2);
  }
  assert.equal(places.get({ tenant: "early", id: "s" }), undefined);
  assert.equal(places.get({ tenant: "t_1", id: "s_10" }), undefined);
  assert.equal(places.get({ tenant: "t_2", id: "s_10007" })?.no, 10_007);
});

test("a place that is written again counts once", () => {
  const places = new Places();
  put(places, "early", "s", 1);
  for (let no = 0; no < 10_000; no++) put(places, "again", "s", no);
  assert.equal(places.get({ tenant: "early", id: "s" })?.no, 1);
});
