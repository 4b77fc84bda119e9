/** The sessions that a dry run would have written, so that later items of the same import meet them. */
import type { SessionSource } from "../snapshots/session-source.ts";
import type { ReadSnapshot } from "../snapshots/snapshot-reader.ts";
import { digestOf, type Digest } from "./comparison.ts";
import { compared, type Comparison, type Merge } from "./merge.ts";

/** A session that would have been written. */
interface Known extends Digest {
  /** Of a snapshot alone. */
  readonly checksum: string | undefined;
}

/** Keeps a few bytes for each message. */
export class DryRun {
  readonly #written = new Map<string, Known>();

  /** The digest of a session that this run has written. */
  digestOf(id: string): Digest | undefined {
    return this.#written.get(id);
  }

  /** How the session stands to one of the same id that this run has written; undefined where there is none. */
  async compare(
    source: SessionSource | ReadSnapshot,
    limits: { readonly branchesMax: number },
  ): Promise<{ readonly comparison: Comparison; readonly isIdentical: boolean } | undefined> {
    const known = this.#written.get(source.record.id);
    if (known === undefined) return undefined;
    const arriving = await knownOf(source);
    const isIdentical = arriving.checksum !== undefined && arriving.checksum === known.checksum;
    return { comparison: isIdentical ? { relation: "same" } : compared(known, arriving, limits), isIdentical };
  }

  /** `merge`: that of a session that has grown. */
  async write(source: SessionSource | ReadSnapshot, merge: Merge | undefined): Promise<void> {
    const { id } = source.record;
    this.#written.set(id, merge === undefined ? await knownOf(source) : { ...merge.digest, checksum: undefined });
  }
}

async function knownOf(source: SessionSource | ReadSnapshot): Promise<Known> {
  return { ...(await digestOf(source)), checksum: "checksum" in source ? source.checksum : undefined };
}
