import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";
import { inMemory } from "../../test/support/in-memory.ts";
import { createNasty } from "../../test/support/nasty-sessions.ts";
import { exportSessions, restoreStore } from "../admin.ts";
import { defaultLimits, type Limits } from "../domain/values/limits.ts";
import { openSessions, type Sessions } from "../index.ts";
import { coreOf } from "../sessions/sessions.ts";
import { snapshotPieces } from "../sessions/snapshots/session-source.ts";
import { backupPieces, backupSessions, type BackupSession } from "./backup-lines.ts";
import { rangedFile } from "./bytes.ts";

const root = mkdtempSync(join(tmpdir(), "perdure-lines-"));
after(() => rmSync(root, { recursive: true }));

/** The lines of a backup of these sessions. */
async function linesOf(sessions: Sessions): Promise<string[]> {
  let text = "";
  for await (const piece of backupPieces(coreOf(sessions))) text += piece.text;
  return text.trimEnd().split("\n");
}

let files = 0;

function written(lines: readonly (string | Buffer)[], { packed = false } = {}): string {
  const file = join(root, `${++files}.ndjson`);
  const bytes = Buffer.concat(lines.flatMap((line) => [Buffer.from(line), Buffer.from("\n")]));
  writeFileSync(file, packed ? gzipSync(bytes) : bytes);
  return file;
}

/** The sessions as texts, by id, and the errors by the names of their lines. */
async function readBack(
  file: string,
  options: { limits?: Limits; skipDamaged?: boolean } = {},
): Promise<{ readonly texts: Record<string, string>; readonly damaged: readonly string[] }> {
  const { limits = defaultLimits, skipDamaged } = options;
  const texts: Record<string, string> = {};
  const damaged: string[] = [];
  const sessions: AsyncIterable<BackupSession> = backupSessions(await rangedFile(file), { file, limits, skipDamaged });
  for await (const one of sessions) {
    if ("error" in one) damaged.push(one.key.id.replace(file, ""));
    else texts[one.key.id] = (await Array.fromAsync(snapshotPieces(one.source))).join("");
  }
  return { texts, damaged };
}

test("a backup with lines of any size comes back the same, packed or not", async () => {
  await using place = inMemory({ limits: { readBytesMax: 1000 } });
  await createNasty(place.sessions);
  const large = await place.sessions.create({ id: "large" });
  for (let turn = 0; turn < 50; turn++) await large.append({ input: `é${"x".repeat(40_000)}` });
  const lines = await linesOf(place.sessions);
  const expected: Record<string, string> = {};
  for await (const { id, text } of exportSessions(place.sessions)) expected[id] = text;
  for (const packed of [false, true]) {
    const file = written(lines, { packed });
    // Below the size of the large line, which is then read in chunks.
    for (const snapshotBytesMax of [defaultLimits.snapshotBytesMax, 100_000]) {
      const { texts } = await readBack(file, { limits: { ...defaultLimits, snapshotBytesMax } });
      assert.deepEqual(Object.keys(texts).toSorted(), Object.keys(expected).toSorted());
      for (const [id, text] of Object.entries(expected)) assert.equal(texts[id] === text, true, id);
    }
  }
});

const damages: Record<string, readonly [alter: (lines: string[]) => (string | Buffer)[], damaged: readonly string[]]> =
  {
    "a line that is no JSON": [(lines) => lines.with(2, `${lines[2]?.slice(0, 200)}`), [":3"]],
    "a line whose content was altered": [(lines) => lines.with(2, lines[2]?.replace("a word", "a lie!") ?? ""), [":3"]],
    "a line that is not UTF-8": [(lines) => lines.with(2, Buffer.from([0xff, 0x7b]) as never), [":3"]],
    "two bad lines": [(lines) => lines.with(1, "{").with(3, "{}"), [":2", ":4"]],
    "a first line that was lost": [(lines) => lines.slice(1), [":4"]],
    "a line that was lost": [(lines) => lines.toSpliced(2, 1), [":4"]],
    "an end that was cut off": [(lines) => lines.slice(0, -1), [""]],
    "a line that was cut off with all after it": [
      (lines) => [...lines.slice(0, 2), lines[2]?.slice(0, 99) ?? ""],
      [":3", ""],
    ],
    "a line behind the end": [(lines) => [...lines, "{}"], [":6"]],
  };

for (const [what, [alter, damaged]] of Object.entries(damages)) {
  test(`a backup with ${what} is refused, or restored without it where the caller asks, and not called complete`, async () => {
    await using place = inMemory();
    for (const id of ["a", "b", "c"]) await (await place.sessions.create({ id })).append({ input: "a word" });
    const lines = await linesOf(place.sessions);
    assert.equal(lines.length, 5);
    const file = written(alter(lines));
    const target = `sqlite:${file}.db`;
    await assert.rejects(restoreStore(file, target), { code: "snapshot_invalid" });
    await using restored = await openSessions({ store: target, sweep: false });
    assert.equal(await restored.count(), 0);

    assert.deepEqual((await readBack(file, { skipDamaged: true })).damaged, damaged);
    const report = await restoreStore(file, target, { skipDamaged: true });
    assert.equal(report.complete, false);
    assert.equal(report.skipped, damaged.length);
    assert.deepEqual(
      report.reasons.map(({ source }) => source.replace(file, "")),
      damaged,
    );
    const whole = lines.slice(1, -1).filter((line) => alter([...lines]).includes(line));
    assert.equal(await restored.count(), whole.length);
  });
}

test("a backup of a newer version is refused, also where damaged lines are skipped", async () => {
  await using place = inMemory();
  await place.sessions.create({ id: "a" });
  const lines = await linesOf(place.sessions);
  const file = written(lines.with(0, '{"format":"perdure.backup/2"}'));
  await assert.rejects(restoreStore(file, "memory:", { skipDamaged: true }), { code: "snapshot_newer" });
});
