import assert from "node:assert/strict";
import { test } from "node:test";
import { errorCodes, hasCode, SessionError } from "./errors.ts";
import { exceededStepsOf, interruptionOf, interruptions } from "./errors/answer-problems.ts";

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

test("a mismatch names the argument, the value and the values that are expected", () => {
  const says = (details: ConstructorParameters<typeof SessionError<"argument_invalid">>[1]): string =>
    new SessionError("argument_invalid", details).message;
  const workers = { name: "workers", value: "0", expected: "whole_number", min: 1 } as const;
  assert.equal(says(workers), "workers is 0; expected a whole number, 1 or more");
  assert.equal(says({ ...workers, max: 8 }), "workers is 0; expected a whole number from 1 to 8");
  const busy = { name: "busy", value: '"wait"', expected: "one_of", known: ["reject", "queue"] } as const;
  assert.equal(says(busy), 'busy is "wait"; expected one of reject, queue');
  assert.equal(
    says({ name: "secret", length: 3, expected: "text", min: 16 }),
    "secret has 3 characters; expected a text of 16 characters or more",
  );
  const ids = { name: "deviceIds", length: 300, expected: "list", max: 200 } as const;
  assert.equal(says(ids), "deviceIds has 300 items; expected at most 200 items");
  assert.equal(says({ name: "sessions.agents", expected: "agents" }).split(";")[0], "sessions.agents is missing");
});

test("the details of a closed object are codes and ids, and the message has its name", () => {
  const says = (details: ConstructorParameters<typeof SessionError<"closed">>[1]): string =>
    new SessionError("closed", details).message;
  assert.equal(says({ name: "sessions" }), "this Sessions object is closed; open it again");
  assert.equal(says({ name: "host" }), "this host is closed; open it again");
  assert.equal(says({ name: "store" }), "the store is closed; open it again");
  assert.equal(says({ name: "store", store: "sqlite:a.db" }), "the store sqlite:a.db is closed; open it again");
});

test("details hold no sentence: the text of another component is in the message and the cause", () => {
  const cause = new Error("Unexpected token");
  const error = new SessionError("request_invalid", { path: "body", expected: "json" }, { cause });
  assert.equal(error.message, "body is not JSON: Unexpected token");
  assert.deepEqual(error.details, { path: "body", expected: "json" });
  const issue = new SessionError("request_invalid", { path: "body.ttl" }, { reported: "expected string" });
  assert.equal(issue.message, "body.ttl: expected string");
});

test("a text in the details is a value of the caller, or is named as the text of another component", () => {
  const texts = Object.entries(errorCodes).flatMap(([code, { details }]) =>
    Object.entries(details).flatMap(([name, kind]) => (kind === "text" ? [[code, name]] : [])),
  );
  const others = texts.filter(([, name]) => name !== "value" && name !== "reported");
  const reasons = [
    ["legal_hold", "reason"],
    ["turn_waiting", "reason"],
  ];
  assert.deepEqual(others, reasons, "the reasons that setLegalHold and wait were called with");
});

test("the words that a turn stores for an interruption are read as its code", () => {
  for (const [how, words] of Object.entries(interruptions)) assert.deepEqual(interruptionOf(words), { how });
  assert.deepEqual(interruptionOf("its runtime failed: no"), { how: "other", reported: "its runtime failed: no" });
  assert.deepEqual(interruptionOf(undefined), { how: "other" });
});

test("the words that a turn stores for exceeded steps are read as their number and the tools", () => {
  const stored = 'at step 3 of 3 the model still called "look", "say \\"hi\\""';
  assert.deepEqual(exceededStepsOf(stored), { stepsMax: 3, tools: ["look", 'say "hi"'] });
  const { message } = new SessionError("tool_steps_exceeded", exceededStepsOf(stored));
  assert.ok(message.startsWith(`the answer was stopped: ${stored}; `), message);
  assert.deepEqual(exceededStepsOf("something else"), {});
});
