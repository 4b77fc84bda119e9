/** What archives take in a file: of real conversations where there are any, else of the few that come along. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { defined } from "../../src/domain/values/defined.ts";
import { readConversations } from "../../src/adapters/replay.ts";
import { openSessions, type Session } from "../../src/index.ts";

const examples = fileURLToPath(new URL("../../examples/conversations", import.meta.url));
const folder = process.env["PERDURE_CONVERSATIONS"] || examples;

test("short conversations, archived one by one, take at most a quarter of the size of their rows", async (t) => {
  const place = mkdtempSync(join(tmpdir(), "perdure-archive-size-"));
  t.after(() => rmSync(place, { recursive: true }));
  const file = join(place, "perdure.db");
  await using sessions = await openSessions({ store: `sqlite:${file}`, sweep: false });
  const opened: Session[] = [];
  for (const { instructions, exchanges } of await readConversations(folder)) {
    const session = await sessions.create(defined({ instructions }));
    for (const [index, { input, output }] of exchanges.entries()) {
      const inputTokens = JSON.stringify(input).length * (index + 1);
      const outputTokens = JSON.stringify(output).length;
      const usage = { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens };
      await session.append({ input, output, model: "gpt-5-mini", usage, durationMs: outputTokens * 7 + index });
    }
    opened.push(session);
  }
  const database = new DatabaseSync(file, { readOnly: true });
  const sizeOf = (logs: string): number => {
    const sum = `select sum(octet_length(data) + coalesce(length(bytes), 0)) as bytes from entries where log in (${logs})`;
    return Number(database.prepare(sum).get()?.["bytes"]);
  };
  const before = sizeOf("'turns', 'instructions'");
  const turns = await Promise.all(opened.map((session) => Array.fromAsync(session.turns())));
  for (const session of opened) await session.archive();
  const after = sizeOf("'archive'");
  assert.equal(sizeOf("'turns', 'instructions'"), 0);
  assert.ok(before / after >= 4, `${opened.length} of them: ${before} bytes to ${after}, ${before / after} times`);
  assert.deepEqual(await Promise.all(opened.map((session) => Array.fromAsync(session.turns()))), turns);
  t.diagnostic(`${opened.length} conversations, ${before} bytes to ${after}: ${(before / after).toFixed(2)} times`);
  database.close();
});
