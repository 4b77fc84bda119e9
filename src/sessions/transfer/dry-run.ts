/** The sessions that a dry run would have written, so that later items of the same import meet them. */
import { hash } from "node:crypto";
import { encode } from "../../domain/values/codec.ts";
import { turnsOf, type SessionSource } from "../snapshots/session-source.ts";
import { steadyOf } from "./conversation.ts";
import type { ReadSnapshot } from "../snapshots/snapshot-reader.ts";

/** A session as far as a comparison needs it. */
interface Digest {
  /** Of a snapshot its checksum, else the hash of all but the turns. */
  readonly about: string;
  readonly turns: readonly string[];
}

/** Keeps a few bytes for each turn. */
export class DryRun {
  readonly #digests = new Map<string, Digest>();

  /**
   * How the session stands to one of the same id that this run has written, and the turns of that one; undefined where there is
   * none.
   */
  async compare(
    source: SessionSource | ReadSnapshot,
  ): Promise<{ readonly relation: "same" | "grown" | "other"; readonly turns: number } | undefined> {
    const known = this.#digests.get(source.record.id);
    if (known === undefined) return undefined;
    const { about, turns } = await digestOf(source);
    const begins = about === known.about && known.turns.every((turn, index) => turn === turns[index]);
    const relation = !begins ? "other" : turns.length === known.turns.length ? "same" : "grown";
    return { relation, turns: known.turns.length };
  }

  async write(source: SessionSource | ReadSnapshot): Promise<void> {
    this.#digests.set(source.record.id, await digestOf(source));
  }
}

async function digestOf(source: SessionSource | ReadSnapshot): Promise<Digest> {
  if ("checksum" in source) return { about: source.checksum, turns: [] };
  const { user, metadata } = source.record;
  const instructions = source.inMemory?.logs.get("instructions")?.at(-1)?.data ?? "";
  const turns: string[] = [];
  for await (const { data } of turnsOf(source)) turns.push(shortHash(data));
  return { about: shortHash(`${encode({ user, metadata: steadyOf(metadata) })}${instructions}`), turns };
}

function shortHash(text: string): string {
  return hash("sha256", text, "base64url").slice(0, 16);
}
