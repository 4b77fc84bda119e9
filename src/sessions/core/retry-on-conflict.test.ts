import assert from "node:assert/strict";
import { test } from "node:test";
import { retryOnConflict } from "./retry-on-conflict.ts";

const ids = { sessionId: "s", tenant: "t" };

test("an attempt is repeated until it returns a value, also false or null", async () => {
  const numbers: number[] = [];
  const result = await retryOnConflict(ids, async (number) => {
    numbers.push(number);
    return number < 3 ? undefined : false;
  });
  assert.deepEqual([result, numbers], [false, [1, 2, 3]]);
  assert.equal(await retryOnConflict(ids, async () => null), null);
});

test("after the last attempt the error names the session and the number of attempts", async () => {
  let attempts = 0;
  const retrying = retryOnConflict({ ...ids, attemptsMax: 4 }, async () => {
    attempts++;
    return undefined;
  });
  await assert.rejects(retrying, { code: "contended", details: { ...ids, attempts: 4 } });
  assert.equal(attempts, 4);
});
