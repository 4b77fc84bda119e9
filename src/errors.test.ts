import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode, SessionError } from "./errors.ts";

const ids = { sessionId: "s", tenant: "acme" };

test("a message says what failed, on which id, the limit and the next step", () => {
  const { message } = new SessionError("turn_too_large", { sessionId: "s", bytes: 12, bytesMax: 10 });
  assert.equal(
    message,
    "the turn of session s has 12 bytes, the limit is 10; store large files elsewhere and append a reference, or raise limits.turnBytesMax",
  );
});

test("withContext adds the ids of the operation to a copy, and keeps those that the error has", () => {
  const cause = new Error("why");
  const error = new SessionError("store_full", { store: "sqlite:a.db", agent: "ceo" }, { cause });
  const found = error.withContext({ ...ids, agent: "cto", command: "append" });
  assert.deepEqual(found.details, { store: "sqlite:a.db", agent: "ceo", ...ids, command: "append" });
  assert.deepEqual([found.message, found.stack, found.cause], [error.message, error.stack, cause]);
  assert.deepEqual(error.details, { store: "sqlite:a.db", agent: "ceo" });
  assert(hasCode(found, "store_full") && found.retryable && found.status === 507);
});
