/** The sessions that a dry run would have written, so that later items of the same import meet them. */
import { hash } from "node:crypto";
import type { Entry } from "../../domain/record/entry.ts";
import { turnsOf, type SessionSource } from "../snapshots/session-source.ts";
import { steadyText } from "./conversation.ts";
import { isLonger, wordsOf, type TurnWords } from "./grown-turn.ts";
import type { ReadSnapshot } from "../snapshots/snapshot-reader.ts";

/** A session as far as a comparison needs it. */
interface Digest {
  /** Of a snapshot its checksum, else the hash of all but the turns. */
  readonly about: string;
  /** The hashes of each turn, as one text. */
  readonly turns: readonly string[];
}

/** Keeps a few bytes for each message. */
export class DryRun {
  readonly #digests = new Map<string, Digest>();

  /**
   * How the session stands to one of the same id that this run has written, and the turns of that one; undefined where there is
   * none.
   */
  async compare(
    source: SessionSource | ReadSnapshot,
  ): Promise<{ readonly relation: "same" | "grown" | "earlier" | "other"; readonly turns: number } | undefined> {
    const known = this.#digests.get(source.record.id);
    if (known === undefined) return undefined;
    return { relation: relationOf(known, await digestOf(source)), turns: known.turns.length };
  }

  async write(source: SessionSource | ReadSnapshot): Promise<void> {
    this.#digests.set(source.record.id, await digestOf(source));
  }
}

function relationOf(known: Digest, arriving: Digest): "same" | "grown" | "earlier" | "other" {
  if (known.about !== arriving.about) return "other";
  const [grows, isEarlier] = [begins(known, arriving), begins(arriving, known)];
  if (grows && isEarlier) return "same";
  return grows ? "grown" : isEarlier ? "earlier" : "other";
}

/** True where the other one begins with all of these turns, the last of which may have more there. */
function begins({ turns }: Digest, other: Digest): boolean {
  return turns.every((turn, index) => {
    const later = other.turns[index];
    if (later === undefined || turn === later) return later !== undefined;
    return index === turns.length - 1 && isLonger(wordsIn(later), wordsIn(turn));
  });
}

async function digestOf(source: SessionSource | ReadSnapshot): Promise<Digest> {
  if ("checksum" in source) return { about: source.checksum, turns: [] };
  const instructions = source.inMemory?.logs.get("instructions")?.at(-1)?.data ?? "";
  const turns: string[] = [];
  for await (const turn of turnsOf(source)) turns.push(hashesOf(turn));
  return { about: shortHash(`${steadyText(source.record)}${instructions}`), turns };
}

const separator = "|";

/** One text takes a fraction of the memory of many. */
function hashesOf(turn: Entry): string {
  const { about, input, output } = wordsOf(turn);
  const lists = [input, output].map((texts) => texts.map(shortHash).join(""));
  return [...lists, shortHash(about), shortHash(turn.data)].join(separator);
}

function wordsIn(hashes: string): TurnWords {
  const [input = "", output = "", about = ""] = hashes.split(separator);
  const listOf = (text: string): readonly string[] => text.match(/.{16}/g) ?? [];
  return { about, input: listOf(input), output: listOf(output) };
}

function shortHash(text: string): string {
  return hash("sha256", text, "base64url").slice(0, 16);
}
