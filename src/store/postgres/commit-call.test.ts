import assert from "node:assert/strict";
import { test } from "node:test";
import { sampleRecord, stepOf } from "../../testing/samples.ts";
import { commitCall } from "./commit-call.ts";
import { Lanes } from "./lanes.ts";

test("changes are sent in the order in which the server locks their rows, also beyond U+FFFF", async () => {
  const ids = ["\u{1f600}", "\uff61", "a", "\ue000", "\u{10000}", "b"];
  const batch = ids.map((id) => [stepOf(sampleRecord({ id }))]);
  await new Lanes().within(async (lane) => {
    const { values } = commitCall('"perdure"', lane, { batch, copies: new Map() });
    const updates = JSON.parse(String(values[2])) as { readonly id: string }[];
    assert.deepEqual(
      updates.map(({ id }) => id),
      ids.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
    );
    return [];
  });
});
