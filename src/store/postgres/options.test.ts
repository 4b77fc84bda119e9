import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveOptions } from "./options.ts";

test("a URL sets the timeouts of the store, which are no parameters of the driver", () => {
  const url = "postgres://app@db.example/app?sslmode=require&deadline=4s&attempt=2s&connectTimeout=500ms";
  const { source, deadlineMs, attemptMs, connectTimeoutMs } = resolveOptions({ url });
  assert.deepEqual(source, { url: "postgres://app@db.example/app?sslmode=require" });
  assert.deepEqual([deadlineMs, attemptMs, connectTimeoutMs], [4000, 2000, 500]);
  assert.throws(() => resolveOptions({ url: url.replace("4s", "soon") }), { code: "duration_invalid" });
});
