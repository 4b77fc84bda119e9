/** The sessions that a dry run would have written, so that later items of the same import meet them. */
import type { SessionSource } from "../snapshots/session-source.ts";
import type { ReadSnapshot } from "../snapshots/snapshot-reader.ts";
import { digestOf, relationOf, type Digest, type Relation } from "./comparison.ts";

/** Keeps a few bytes for each message. */
export class DryRun {
  /** Of a snapshot its checksum. */
  readonly #written = new Map<string, Digest | string>();

  /**
   * How the session stands to one of the same id that this run has written, and the turns of that one; undefined where there is
   * none.
   */
  async compare(
    source: SessionSource | ReadSnapshot,
  ): Promise<{ readonly relation: Relation; readonly turns: number } | undefined> {
    const known = this.#written.get(source.record.id);
    if (known === undefined) return undefined;
    const arriving = await knownOf(source);
    if (typeof known === "string" || typeof arriving === "string")
      return { relation: known === arriving ? "same" : "other", turns: 0 };
    return { relation: relationOf(known, arriving), turns: known.turns.length };
  }

  /** A grown session keeps the metadata that it has. */
  async write(source: SessionSource | ReadSnapshot, fate: "restored" | "grown" | "replaced"): Promise<void> {
    const { id } = source.record;
    const [known, next] = [this.#written.get(id), await knownOf(source)];
    const isMerged = fate === "grown" && typeof known === "object" && typeof next === "object";
    this.#written.set(id, isMerged ? { ...next, fields: new Map([...known.fields, ...next.fields]) } : next);
  }
}

async function knownOf(source: SessionSource | ReadSnapshot): Promise<Digest | string> {
  return "checksum" in source ? source.checksum : await digestOf(source);
}
