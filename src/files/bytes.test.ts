import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { unpacked } from "./bytes.ts";

async function bytesOf(packed: Uint8Array): Promise<number> {
  let bytes = 0;
  const stream = (async function* (): AsyncGenerator<Uint8Array> {
    yield packed;
  })();
  for await (const chunk of unpacked(stream, "the file")) bytes += chunk.length;
  return bytes;
}

test("a packed file that unpacks to more than 500 times its size is refused before it is read to its end", async () => {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, "[0,"), { level: 9 });
  assert(bomb.length * 500 < 64 * 1024 * 1024);
  await assert.rejects(bytesOf(bomb), { code: "snapshot_invalid", message: /more than 500 times its size/ });
  assert.equal(await bytesOf(gzipSync(Buffer.alloc(8 * 1024 * 1024))), 8 * 1024 * 1024);
});
