/** The sessions that a dry run would have written, so that later items of the same import meet them. */
import { hash } from "node:crypto";
import { encode } from "../../domain/values/codec.ts";
import { turnsOf, type SessionSource } from "../snapshots/session-source.ts";
import { steadyOf } from "./conversation.ts";
import { isLonger, wordsOf, type TurnWords } from "./grown-turn.ts";
import type { ReadSnapshot } from "../snapshots/snapshot-reader.ts";

/** A session as far as a comparison needs it. */
interface Digest {
  /** Of a snapshot its checksum, else the hash of all but the turns. */
  readonly about: string;
  readonly turns: readonly string[];
  /** The hashes of the last turn. */
  readonly last: TurnWords | undefined;
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
    const { length } = known.turns;
    const { about, turns, last } = await digestOf(source, length);
    const isSame = (count: number): boolean =>
      about === known.about && known.turns.slice(0, count).every((turn, index) => turn === turns[index]);
    if (isSame(length)) return { relation: turns.length === length ? "same" : "grown", turns: length };
    const hasGrown = last !== undefined && known.last !== undefined && isLonger(last, known.last);
    return { relation: hasGrown && isSame(length - 1) ? "grown" : "other", turns: length };
  }

  async write(source: SessionSource | ReadSnapshot): Promise<void> {
    this.#digests.set(source.record.id, await digestOf(source));
  }
}

/** `end` is the number of the turn whose hashes are kept. @default that of the last turn */
async function digestOf(source: SessionSource | ReadSnapshot, end?: number): Promise<Digest> {
  if ("checksum" in source) return { about: source.checksum, turns: [], last: undefined };
  const { user, metadata, counters } = source.record;
  const { turns: lastSeq } = counters;
  let last: TurnWords | undefined;
  const instructions = source.inMemory?.logs.get("instructions")?.at(-1)?.data ?? "";
  const turns: string[] = [];
  for await (const turn of turnsOf(source)) {
    turns.push(shortHash(turn.data));
    if (turn.seq === (end ?? lastSeq)) last = hashesOf(wordsOf(turn));
  }
  return { about: shortHash(`${encode({ user, metadata: steadyOf(metadata) })}${instructions}`), turns, last };
}

function hashesOf({ about, input, output }: TurnWords): TurnWords {
  return { about: shortHash(about), input: input.map(shortHash), output: output.map(shortHash) };
}

function shortHash(text: string): string {
  return hash("sha256", text, "base64url").slice(0, 16);
}
