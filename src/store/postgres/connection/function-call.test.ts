import assert from "node:assert/strict";
import { test } from "node:test";
import { FunctionCall, messagesFor, type Wire } from "./function-call.ts";

test("the values of a call are in its Bind message, followed by Execute and Sync", () => {
  const long = "é€😀".repeat(50);
  const values = ["", "a", null, 7, true, Buffer.from([0, 255]), "€", "\ud800", long, null];
  const bytes = Buffer.from(messagesFor("call_1", values));
  let at = 0;
  const int = (size: 2 | 4): number => (at += size) && bytes.readIntBE(at - size, size);
  const text = (): string => {
    const end = bytes.indexOf(0, at);
    const found = bytes.toString("utf8", at, end);
    at = end + 1;
    return found;
  };
  assert.equal(String.fromCharCode(bytes[at++] ?? 0), "B");
  const length = int(4);
  assert.deepEqual([text(), text()], ["", "call_1"], "the portal without a name, the statement");
  const formats = Array.from({ length: int(2) }, () => int(2));
  assert.deepEqual(formats, [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
  const sent = Array.from({ length: int(2) }, () => {
    const size = int(4);
    if (size === -1) return null;
    at += size;
    return bytes.subarray(at - size, at);
  });
  assert.deepEqual(
    sent.map((one, index) => (index === 5 ? one : (one?.toString("utf8") ?? null))),
    ["", "a", null, "7", "true", Buffer.from([0, 255]), "€", "\ufffd", long, null],
  );
  assert.equal(int(2), 0, "the result is text");
  assert.equal(at, length + 1);
  assert.equal(bytes.toString("latin1", at), "E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04");
});

test("a call is parsed once on a connection, and answers once the connection is ready", () => {
  const sent: string[] = [];
  const parsedStatements: { [name: string]: string } = {};
  const connection: Wire = {
    stream: { write: (bytes) => sent.push(String.fromCharCode(bytes[0] ?? 0)) },
    parsedStatements,
    parse: ({ name, text }) => sent.push(`P ${name} ${text}`),
  };
  const answers: unknown[] = [];
  const made = (): FunctionCall => {
    const call = new FunctionCall("c", "select 1", [1]);
    call.callback = (error, answer) => answers.push(error ?? answer);
    return call;
  };
  const first = made();
  first.submit(connection);
  assert.deepEqual(sent.splice(0), ["P c select 1", "B"]);
  first.handleDataRow({ fields: ["one"] });
  first.handleCommandComplete();
  assert.deepEqual(answers, []);
  first.handleReadyForQuery();
  parsedStatements["c"] = "select 1";
  const second = made();
  second.submit(connection);
  assert.deepEqual(sent, ["B"]);
  second.handleDataRow({ fields: [null] });
  second.handleReadyForQuery();
  const failed = new Error("refused");
  made().handleError(failed);
  assert.deepEqual(answers.splice(0), ["one", null, failed]);
  // Null says that all of a batch was committed.
  made().handleReadyForQuery();
  assert.match(String(answers), /without a row/);
});
