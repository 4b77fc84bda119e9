import assert from "node:assert/strict";
import { test } from "node:test";
import { openSessions } from "../../src/index.ts";
import type { Reply } from "../support/model-server.ts";
import { setUp } from "./command-line.ts";

const failures: readonly (readonly [title: string, reply: Reply, stdout: string, stderr: RegExp])[] = [
  ["answers 401", { kind: "status", status: 401 }, "", /refused the request: .*401.*\[model_refused\]/],
  ["answers 404", { kind: "status", status: 404 }, "", /check the model's name and the address \[model_refused\]/],
  ["answers 429", { kind: "status", status: 429, headers: { "retry-after": "0" } }, "", /\[model_failed\]/],
  ["answers 500", { kind: "status", status: 500 }, "", /\[model_failed\]/],
  ["cuts the stream", { kind: "cut", texts: ["half"] }, "half\n", /\[model_failed\]/],
  ["sends a malformed chunk", { kind: "raw", body: "data: {oops\n\n" }, "", /\[model_failed\]/],
  [
    "stops without an end",
    { kind: "raw", body: 'data: {"choices":[{"delta":{"content":"half"}}]}\n\n' },
    "half\n",
    /ended before the answer did .*\[model_failed\]/,
  ],
];

for (const [title, reply, stdout, says] of failures) {
  test(`an endpoint that ${title}: exit 1, question and beginning are kept as a failed turn, the session continues`, async () => {
    let broken = true;
    await using context = await setUp(() => (broken ? reply : { kind: "answer", texts: ["better"] }));
    const { place } = context;
    const failed = await place.run(["consult", "ceo", "x"]);
    assert.match(failed.stderr, says);
    assert.doesNotMatch(failed.stderr, /secret-key|\n\s+at /);
    assert.deepEqual([failed.code, failed.stdout], [1, stdout]);

    const sessions = await openSessions({ store: place.storeUrl, sweep: false });
    const [info] = (await sessions.list()).items;
    const [turn] = await Array.fromAsync((await sessions.get(info?.id ?? "")).turns());
    await sessions.close();
    assert.deepEqual(turn?.input, [{ role: "user", content: "x" }]);
    assert.deepEqual(turn?.output, stdout === "" ? [] : [{ role: "assistant", content: "half" }]);
    assert.deepEqual([turn?.status, turn?.usage?.estimated, info?.lease], ["failed", true, null]);

    broken = false;
    const next = await place.run(["consult", "ceo", "y", "--session", info?.id ?? ""]);
    assert.deepEqual([next.code, next.stdout], [0, "better\n"]);
  });
}

test("an endpoint's failure with --json names session and turn", async () => {
  await using context = await setUp(() => ({ kind: "status", status: 401 }));
  const { stdout, stderr } = await context.place.run(["consult", "ceo", "x", "--json"]);
  assert.equal(stdout, "");
  const { error } = JSON.parse(stderr) as { error: { code: string; details: Record<string, unknown> } };
  assert.equal(error.code, "model_refused");
  assert.match(String(error.details["sessionId"]), /^ceo_/);
  assert.deepEqual([error.details["turn"], error.details["httpStatus"]], [1, 401]);
});
