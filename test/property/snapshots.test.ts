/** A snapshot brings the turns of any session to another store byte for byte. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../support/fast-check.ts";
import { openSessions } from "../../src/index.ts";
import { turn } from "./arbitraries.ts";
import { rounds } from "../support/rounds.ts";

const value = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  fc.bigInt(),
  fc.date({ noInvalidDate: true }),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => new Uint8Array(bytes)),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.record({ $type: fc.string({ unit: "binary" }), value: fc.jsonValue() }, { noNullPrototype: true }),
);
const metadata = fc.dictionary(fc.string({ unit: "binary" }), value, { maxKeys: 5, noNullPrototype: true });

test("random sessions go from store to snapshot to store to snapshot byte for byte", async () => {
  await using memory = await openSessions({ store: "memory:", sweep: false });
  await using sqlite = await openSessions({ store: "sqlite::memory:", sweep: false });
  let count = 0;
  await fc.assert(
    fc.asyncProperty(metadata, fc.array(turn, { maxLength: 8 }), async (known, turns) => {
      const id = `s${++count}`;
      const session = await memory.create({ id, agent: "ceo", metadata: known });
      for (const { seq: _, key, at: __, status, ...content } of turns) {
        const finished = { ...content, status: status as "done" };
        // The same key with other content is refused: what is said under it first stays.
        await session.append(finished, key === null ? {} : { key }).catch((error: { code?: string }) => {
          assert.equal(error.code, "key_reused");
        });
      }
      const before = JSON.stringify(await memory.snapshot(id));
      await sqlite.restore(before);
      assert.equal(JSON.stringify(await sqlite.snapshot(id)), before);
      await memory.restore(await sqlite.snapshot(id), { onExists: "replace" });
      assert.equal(JSON.stringify(await memory.snapshot(id)), before);
    }),
    { numRuns: rounds(200) },
  );
});
