/** What a backup promises, whichever store it is of. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { countAll } from "../../src/domain/turns/counters.ts";
import { openSessions, type Sessions } from "../../src/index.ts";
import { exportSessions } from "../../src/admin.ts";

const program = fileURLToPath(new URL("backup-writer.ts", import.meta.url));

export async function linesOf(sessions: Sessions): Promise<string[]> {
  return (await Array.fromAsync(exportSessions(sessions))).map(({ text }) => text);
}

/** Eight processes that write while `work` runs. */
export async function underWriters(url: string, work: () => Promise<void>): Promise<void> {
  const writers: ChildProcess[] = Array.from({ length: 8 }, (_, index) =>
    spawn(process.execPath, [program, url, String(index)], { stdio: ["ignore", "ignore", "inherit"] }),
  );
  try {
    await using sessions = await openSessions({ store: url, sweep: false });
    // All of them are at work.
    const atWork = async (): Promise<number> => {
      const listed = await sessions.list({ limit: 1000 });
      return listed.items.filter(({ id, turn }) => /^(own|shadow)-/.test(id) && turn > 2).length;
    };
    while ((await atWork()) < 16) await sleep(50);
    await work();
  } finally {
    await Promise.all(
      writers.map(async (writer) => {
        const closed = once(writer, "close");
        writer.kill("SIGKILL");
        await closed;
      }),
    );
  }
}

/** The writers' sessions are as they were at one moment, which lies before now. */
export async function assertStateExisted(restored: Sessions, original: Sessions): Promise<void> {
  let turns = 0;
  for (let index = 0; index < 8; index++) {
    const [own, shadow] = await Promise.all(
      [`own-${index}`, `shadow-${index}`].map(async (id) => Array.fromAsync((await restored.get(id)).turns())),
    );
    assert(own && shadow);
    assert(shadow.length === own.length || shadow.length === own.length - 1, `${shadow.length} after ${own.length}`);
    const now = await Array.fromAsync((await original.get(`own-${index}`)).turns());
    assert.deepEqual(own, now.slice(0, own.length));
    assert.deepEqual((await restored.get(`own-${index}`)).info.counters, countAll(own));
    turns += own.length;
  }
  assert(turns > 16);
}
