/** The sessions that a dry run would have written, so that later items of the same import meet them. */
import type { SessionSource } from "../snapshots/session-source.ts";
import type { ReadSnapshot } from "../snapshots/snapshot-reader.ts";
import { digestOf, mergedDigest, relationOf, type Digest, type Relation } from "./comparison.ts";

/** A session that would have been written. */
interface Known extends Digest {
  /** Of a snapshot alone. */
  readonly checksum: string | undefined;
}

/** Keeps a few bytes for each message. */
export class DryRun {
  readonly #written = new Map<string, Known>();

  /**
   * How the session stands to one of the same id that this run has written, and the turns of that one; undefined where there is
   * none.
   */
  async compare(
    source: SessionSource | ReadSnapshot,
  ): Promise<{ readonly relation: Relation; readonly isIdentical: boolean; readonly turns: number } | undefined> {
    const known = this.#written.get(source.record.id);
    if (known === undefined) return undefined;
    const arriving = await knownOf(source);
    const isIdentical = arriving.checksum !== undefined && arriving.checksum === known.checksum;
    const relation = isIdentical ? "same" : relationOf(known, arriving);
    return { relation, isIdentical, turns: known.turns.length };
  }

  async write(source: SessionSource | ReadSnapshot, fate: "restored" | "grown" | "replaced"): Promise<void> {
    const { id } = source.record;
    const [known, next] = [this.#written.get(id), await knownOf(source)];
    const isMerged = fate === "grown" && known !== undefined;
    this.#written.set(id, isMerged ? { ...mergedDigest(known, next), checksum: undefined } : next);
  }
}

async function knownOf(source: SessionSource | ReadSnapshot): Promise<Known> {
  return { ...(await digestOf(source)), checksum: "checksum" in source ? source.checksum : undefined };
}
