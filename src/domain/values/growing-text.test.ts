import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../../test/support/fast-check.ts";
import { GrowingText } from "./growing-text.ts";

/** Read from a position to the end. */
function readOn(text: GrowingText, from = GrowingText.start): { read: string; position: typeof from } {
  let position = from;
  let read = "";
  for (;;) {
    const { text: piece, next } = text.read(position);
    if (piece === "") return { read, position };
    read += piece;
    position = next;
  }
}

test("a reader that reads between pieces, and one that reads at the end, read the whole text", () => {
  const piece = fc.string({ maxLength: 9000 });
  fc.assert(
    fc.property(fc.array(fc.tuple(piece, fc.boolean())), (pieces) => {
      const text = new GrowingText();
      let reader = { read: "", position: GrowingText.start };
      let read = "";
      for (const [added, reads] of pieces) {
        text.add(added);
        if (!reads) continue;
        reader = readOn(text, reader.position);
        read += reader.read;
      }
      read += readOn(text, reader.position).read;
      const whole = pieces.map(([added]) => added).join("");
      assert.deepEqual([read, readOn(text).read, text.toString(), text.isEmpty], [whole, whole, whole, whole === ""]);
    }),
  );
});

test("a million small pieces are read back in a thousandth as many", () => {
  const text = new GrowingText();
  for (let count = 0; count < 1_000_000; count++) text.add("é");
  let position = GrowingText.start;
  let pieces = 0;
  for (let read = text.read(position); read.text !== ""; read = text.read(position)) {
    position = read.next;
    pieces++;
  }
  assert.ok(pieces < 10_000, `${pieces}`);
  assert.equal(text.toString().length, 1_000_000);
});
