import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ObjectStore } from "../../../test/support/object-store.ts";
import { hasCode } from "../../errors.ts";
import type { AttachmentStore } from "../../domain/attachments/attachment-store.ts";
import { attachmentStoreCases, attachmentStoreConformance } from "../../testing/attachment-store-conformance.ts";
import { folder } from "./folder.ts";

const root = mkdtempSync(join(tmpdir(), "perdure-folder-"));
after(() => rmSync(root, { recursive: true }));
let folders = 0;
const place = (): string => join(root, `${folders++}`);
const name = `${"0123456789abcdef".repeat(2)}/01j00000000000000000000000`;

attachmentStoreConformance({ name: "a folder", open: () => folder(place()) });
attachmentStoreConformance({ name: "an object store in memory", open: () => new ObjectStore() });

async function* bytes(): AsyncGenerator<Uint8Array> {
  yield Buffer.from("the bytes");
}

test("each case of the conformance suite finds a store that breaks its promise", async () => {
  const broken: { readonly [title: string]: Partial<AttachmentStore> } = {
    "put-is-whole": { get: async () => bytes() },
    "get-is-exact": { get: async () => bytes() },
    "get-finds-what-was-put": { get: async () => undefined },
    "delete-of-nothing": { delete: async () => Promise.reject(new Error("there is no such object")) },
    "deleted-is-gone": { delete: async () => undefined },
    "list-is-complete": { list: async function* () {} },
  };
  for (const [title, check] of attachmentStoreCases) {
    const store = new ObjectStore();
    await assert.rejects(check(Object.assign(store, broken[title])), title);
  }
});

test("a name that Perdure does not give becomes no path", async () => {
  const path = place();
  const store = folder(path);
  const hostile = ["../x", `${"0".repeat(32)}/../../../../etc/passwd`, "/etc/passwd", `${name}/..`, `${name}\0`, ""];
  for (const given of [...hostile, name.toUpperCase(), `${name}\n`]) {
    await assert.rejects(store.put(given, bytes()), (error) => hasCode(error, "argument_invalid"), given);
    await assert.rejects(store.get(given, { from: 0, to: 1 }), (error) => hasCode(error, "argument_invalid"), given);
    await assert.rejects(store.delete(given), (error) => hasCode(error, "argument_invalid"), given);
  }
  assert(!existsSync(path));
  assert.throws(() => folder("a\0b"), /path is "a\\u0000b"; expected a path without the character U\+0000/);
  for (const given of ["", "a\0b", undefined as never])
    assert.throws(
      () => folder(given),
      (error) => hasCode(error, "argument_invalid"),
    );
});

test("the owner alone can read the files, and a put that fails leaves none", async () => {
  const path = place();
  const store = folder(path);
  await store.put(name, bytes());
  const files = readdirSync(path, { recursive: true, withFileTypes: true });
  for (const one of files) {
    const mode = statSync(join(one.parentPath, one.name)).mode & 0o777;
    assert.equal(mode, one.isFile() ? 0o600 : 0o700, one.name);
  }
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield* bytes();
    throw new Error("the source ends");
  }
  await assert.rejects(store.put(name.replace(/0$/, "1"), broken()), /the source ends/);
  const left = readdirSync(path, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
  assert.equal(left.length, 1);
});
