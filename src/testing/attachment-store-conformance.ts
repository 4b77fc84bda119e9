/**
 * The contract of an attachment store as tests. Call {@link attachmentStoreConformance} in a file that `node --test` runs; each case
 * bears the name of an invariant of the contract.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { invalidText, parseFunction } from "../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import type { AttachmentStore } from "../domain/attachments/attachment-store.ts";

/** The attachment store to test. */
export interface AttachmentStoreHarness {
  /** Its name, for the titles. */
  readonly name: string;
  /** Opens an empty store; called for each case. */
  readonly open: () => Promise<AttachmentStore> | AttachmentStore;
}

const harnessNames: OptionNames<AttachmentStoreHarness> = { name: true, open: true };

type Case = (store: AttachmentStore) => Promise<void>;

/**
 * Registers a `node:test` case for each invariant in `domain/attachments/attachment-store.ts` that a test of one process can see.
 * @throws SessionError `argument_invalid`
 */
export function attachmentStoreConformance(harness: AttachmentStoreHarness): void {
  guardNames(harness, "harness", harnessNames);
  if (typeof harness.name !== "string") throw invalidText("name", harness.name, {});
  parseFunction(harness.open, "open");
  describe(`${harness.name} keeps the contract of an attachment store`, () => {
    for (const [title, body] of attachmentStoreCases) test(title, async () => await body(await harness.open()));
  });
}

const one = `${"0123456789abcdef".repeat(2)}/01j00000000000000000000000`;
const two = `${"fedcba9876543210".repeat(2)}/01jzzzzzzzzzzzzzzzzzzzzzzz`;

/** All cases, for {@link attachmentStoreConformance} and for the test that each of them can fail. */
export const attachmentStoreCases: readonly (readonly [string, Case])[] = [
  ["put-is-whole", putIsWhole],
  ["get-is-exact", getIsExact],
  ["get-finds-what-was-put", getFindsWhatWasPut],
  ["delete-of-nothing", deleteOfNothing],
  ["deleted-is-gone", deletedIsGone],
  ["list-is-complete", listIsComplete],
];

async function putIsWhole(store: AttachmentStore): Promise<void> {
  const failure = new Error("the source ends");
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield sample(70_000);
    throw failure;
  }
  await assert.rejects(store.put(one, broken()));
  assert.equal(await store.get(one, { from: 0, to: 9 }), undefined, "an object of a source that failed is there");
}

async function getIsExact(store: AttachmentStore): Promise<void> {
  const bytes = sample(300_001);
  await store.put(one, inPieces(bytes, 65_537));
  for (const [from, to] of [
    [0, 300_000],
    [0, 0],
    [300_000, 300_000],
    [65_536, 65_537],
    [100_000, 262_144],
  ] as const)
    assertSame(await read(store, one, from, to), bytes.subarray(from, to + 1), `bytes ${from} to ${to}`);
}

async function getFindsWhatWasPut(store: AttachmentStore): Promise<void> {
  await Promise.all([store.put(one, inPieces(sample(10), 3)), store.put(two, inPieces(sample(20), 7))]);
  assertSame(await read(store, one, 0, 9), sample(10), "the bytes");
  assertSame(await read(store, two, 0, 19), sample(20), "the bytes");
}

async function deleteOfNothing(store: AttachmentStore): Promise<void> {
  await store.delete(one);
  await store.put(two, inPieces(sample(5), 5));
  await store.delete(one);
  await store.delete(one);
  assertSame(await read(store, two, 0, 4), sample(5), "the bytes");
}

async function deletedIsGone(store: AttachmentStore): Promise<void> {
  await store.put(one, inPieces(sample(5), 5));
  await store.put(two, inPieces(sample(6), 5));
  await store.delete(one);
  assert.equal(await store.get(one, { from: 0, to: 4 }), undefined, "a deleted object is there");
  assertSame(await read(store, two, 0, 5), sample(6), "the bytes");
}

async function listIsComplete(store: AttachmentStore): Promise<void> {
  assert.deepEqual(await Array.fromAsync(store.list()), []);
  await store.put(one, inPieces(sample(5), 5));
  await store.put(two, inPieces(sample(6), 5));
  assert.deepEqual([...new Set(await Array.fromAsync(store.list()))].sort(), [one, two].sort());
}

async function read(store: AttachmentStore, name: string, from: number, to: number): Promise<Uint8Array> {
  const opened = await store.get(name, { from, to });
  assert(opened !== undefined, `the object ${name} is missing`);
  return new Uint8Array(Buffer.concat(await Array.fromAsync(opened)));
}

/** A message with the difference of large values takes minutes. */
function assertSame(found: Uint8Array, put: Uint8Array, what: string): void {
  assert(Buffer.from(found).equals(put), `${what} are not those that were put`);
}

/** Bytes that differ at neighbouring places. */
function sample(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) % 251);
}

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}
