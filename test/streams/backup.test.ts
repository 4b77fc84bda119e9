import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { backupStore, restoreStore } from "../../src/admin.ts";
import { openSessions } from "../../src/index.ts";

test("a backup has the streams: their readers go on from their cursors, and one in progress is lost", async () => {
  const folder = await mkdtemp(join(tmpdir(), "perdure-streams-"));
  try {
    const [from, to] = ["from", "to"].map((name) => `sqlite:${join(folder, name)}.db`);
    const file = join(folder, "backup.ndjson.gz");
    let cursor = "";
    {
      await using sessions = await openSessions({ store: from ?? "", sweep: false });
      for (const id of ["done", "open"]) {
        const acquired = await sessions.streams.acquire(id, { flush: { ms: 0 } });
        assert(acquired.role === "producer");
        await acquired.stream.write(1);
        await acquired.stream.write(2);
        if (id === "done") await acquired.stream.end();
        for await (const part of sessions.streams.read(id)) {
          cursor = id === "done" && part.seq === 1 ? part.cursor : cursor;
          if (part.seq === 2) break;
        }
      }
      await backupStore(from ?? "", file);
    }
    await restoreStore(file, to ?? "");
    await using restored = await openSessions({ store: to ?? "", sweep: false });
    assert.equal(await restored.streams.status("done"), "done");
    const rest = await Array.fromAsync(restored.streams.read("done", { after: cursor }));
    assert.deepEqual(
      rest.map(({ part }) => part),
      [2],
    );
    assert.equal(await restored.streams.status("open"), "lost");
    await assert.rejects(Array.fromAsync(restored.streams.read("open")), { code: "stream_failed" });
  } finally {
    await rm(folder, { recursive: true });
  }
});
