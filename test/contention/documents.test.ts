/** Documents under eight processes: no update is lost, and a process that is killed leaves whole writes. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { backupStore, restoreStore } from "../../src/admin.ts";
import { openSessions } from "../../src/index.ts";
import { serverOfFile } from "../postgres/of-file.ts";
import { endsWithTest } from "../support/ends-with-test.ts";

const folder = mkdtempSync(join(tmpdir(), "perdure-documents-"));
after(() => rmSync(folder, { recursive: true }));
const server = await serverOfFile();

const processes = 8;
const steps = 12;
const killed = 3;

for (const [engine, storeOf] of [
  ["SQLite", () => `sqlite:${join(folder, "shared.db")}`],
  ["PostgreSQL", () => server.url()],
] as const)
  test(`eight processes update the same documents, three are killed, and no update is lost (${engine})`, async () => {
    const store = storeOf();
    await using sessions = await openSessions({ store, sweep: false });
    const documents = sessions.documents("shared");
    const acknowledged = await Promise.all(Array.from({ length: processes }, (_, n) => writer(store, n < killed)));
    const count = (letter: string): number => acknowledged.join("").split(letter).length - 1;
    const [updated, compared, beside] = ["updated", "compared", "beside"].map(async (key) =>
      Number((await documents.get(key))?.value),
    );
    for (const [value, letter] of [
      [await updated, "u"],
      [await compared, "c"],
    ] as const) {
      assert.ok(value !== undefined && value >= count(letter), `${value} of ${count(letter)} acknowledged`);
      assert.ok(value <= count(letter) + killed, "a killed process had one write under way");
    }
    assert.equal(await beside, await compared, "both documents of a write, or none");
    assert.ok(count("u") >= (processes - killed) * steps);
  });

test("updates of one process and touches of another keep both: the value and the time of expiry (PostgreSQL)", async () => {
  await using sessions = await openSessions({ store: server.url(), sweep: false });
  await using others = await openSessions({ store: server.url(), sweep: false });
  const documents = sessions.documents("touched");
  for (let round = 0; round < 6; round++) {
    const key = `k${round}`;
    await documents.put(key, 1, { ttl: "1h" });
    const touches: Promise<boolean>[] = [];
    await documents.update(key, (value) => {
      touches.push(others.documents("touched").touch(key, "5h"));
      return Number(value) + 1;
    });
    assert.deepEqual(await Promise.all(touches), [true]);
    const { value, expiresAt } = (await documents.get(key))!;
    assert.equal(value, 2);
    assert.ok(Number(expiresAt) > Date.now() + 4 * 3_600_000, "the expiry that the touch set");
  }
});

/** What a writer acknowledged before it ended, or was killed in the middle. */
async function writer(store: string, isKilled: boolean): Promise<string> {
  const script = join(import.meta.dirname, "document-writer.ts");
  const child = spawn(process.execPath, [script, store, String(steps)], { stdio: ["ignore", "pipe", "inherit"] });
  endsWithTest(child);
  let output = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (text: string) => {
    output += text;
    if (isKilled && output.length >= steps) child.kill("SIGKILL");
  });
  const [code] = (await once(child, "close")) as [number | null];
  if (!isKilled) assert.equal(code, 0);
  return output;
}

test("a backup of PostgreSQL carries documents, and its restore into SQLite has the same ones", async () => {
  const store = server.url();
  await using sessions = await openSessions({ store, sweep: false });
  const documents = sessions.documents("kept");
  for (let n = 0; n < 230; n++)
    await documents.put(`k${n}`, { n, text: "é\u0000\ud800😀" }, { user: "ada", ttl: "1h" });
  const file = join(folder, "backup.jsonl.gz");
  const { documents: written } = await backupStore(store, file);
  assert.ok(written !== undefined && written >= 230);
  const target = `sqlite:${join(folder, "restored.db")}`;
  const report = await restoreStore(file, target);
  assert.deepEqual([report.documents, report.complete], [written, true]);
  await using restored = await openSessions({ store: target, sweep: false });
  assert.deepEqual(await Array.fromAsync(restored.documents("kept").each()), await Array.fromAsync(documents.each()));
});
