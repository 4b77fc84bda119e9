/** How a conversation that arrives stands to the session that exists under its id. */
import { hash } from "node:crypto";
import type { Entry } from "../../domain/record/entry.ts";
import { turnOf } from "../../domain/turns/turn.ts";
import { encode } from "../../domain/values/codec.ts";
import { turnsOf, type SessionSource } from "../snapshots/session-source.ts";
import { steadyFields } from "./conversation.ts";
import { formOf, takesPlace, wordsIn, type TurnForm } from "./turn-words.ts";

/**
 * `same`: the session has all of the conversation. `grown`: the conversation continues the session. `earlier`: the session
 * continues the conversation. `other`: neither, such as the same words with other metadata.
 */
export type Relation = "same" | "grown" | "earlier" | "other";

/** A session as far as a comparison needs it: some bytes for each message. */
export interface Digest {
  /** The hash of the user and of the instructions. */
  readonly about: string;
  /** The hash of each field of the metadata, by its name. */
  readonly fields: ReadonlyMap<string, string>;
  readonly turns: readonly TurnDigest[];
}

/**
 * The hashes of a turn as one text, which takes a fraction of the memory of many: of its status, of the messages of its input and of
 * its output, and of its form. All have one length, so that two lists begin alike where the messages do.
 */
type TurnDigest = string;

const separator = "|";

interface TurnParts {
  readonly about: string;
  readonly input: string;
  readonly output: string;
  readonly form: TurnForm;
}

export function relationOf(existing: Digest, arriving: Digest): Relation {
  if (existing.about !== arriving.about) return "other";
  const relation = relationOfWords(existing.turns, arriving.turns);
  if (relation !== "same") return relation;
  const isKnown = ([name, value]: readonly [string, string]): boolean => existing.fields.get(name) === value;
  const isAll = arriving.turns.every(
    (turn, index) => mergedTurn(existing.turns[index]!, turn) === existing.turns[index],
  );
  return isAll && [...arriving.fields].every(isKnown) ? "same" : "other";
}

function relationOfWords(turns: readonly TurnDigest[], later: readonly TurnDigest[]): Relation {
  const last = Math.min(turns.length, later.length) - 1;
  const isSame = (turn: TurnDigest, index: number): boolean => relationOfTurns(turn, later[index]!) === "same";
  if (!turns.slice(0, Math.max(last, 0)).every(isSame)) return "other";
  const relation = last < 0 ? "same" : relationOfTurns(turns[last]!, later[last]!);
  const more = later.length - turns.length;
  if (relation === "same") return more > 0 ? "grown" : more < 0 ? "earlier" : "same";
  // Only the last turn of a conversation grows.
  const isLast = relation === "grown" ? more >= 0 : more <= 0;
  return isLast ? relation : "other";
}

function relationOfTurns(turn: TurnDigest, later: TurnDigest): Relation {
  const [one, other] = [partsOf(turn), partsOf(later)];
  if (one.about !== other.about) return "other";
  if (one.input === other.input && one.output === other.output) return "same";
  return isLonger(other, one) ? "grown" : isLonger(one, other) ? "earlier" : "other";
}

function isLonger(later: TurnParts, { input, output }: TurnParts): boolean {
  const begins = later.input.startsWith(input) && later.output.startsWith(output);
  return begins && (input === later.input || output === "");
}

/** The digest of the session after it has grown by the arriving conversation. */
export function mergedDigest(existing: Digest, arriving: Digest): Digest {
  const turns = arriving.turns.map((turn, index) => {
    const known = existing.turns[index];
    return known === undefined ? turn : mergedTurn(known, turn);
  });
  return { ...arriving, fields: new Map([...existing.fields, ...arriving.fields]), turns };
}

function mergedTurn(existing: TurnDigest, arriving: TurnDigest): TurnDigest {
  const isNewer =
    relationOfTurns(existing, arriving) !== "same" || takesPlace(partsOf(existing).form, partsOf(arriving).form);
  return isNewer ? arriving : existing;
}

/** True where the turn takes the place of the existing one in a session that grows: it says more, or has a newer form. */
export function replacesTurn(existing: Entry, arriving: Entry): boolean {
  const [one, other] = [digestOfTurn(existing), digestOfTurn(arriving)];
  return one !== other && mergedTurn(one, other) === other;
}

export async function digestOf(source: SessionSource): Promise<Digest> {
  const { user, metadata } = source.record;
  const turns: TurnDigest[] = [];
  for await (const turn of turnsOf(source)) turns.push(digestOfTurn(turn));
  const instructions = (await instructionsOf(source)) ?? "";
  return {
    about: shortHash(encode({ user, instructions })),
    fields: new Map(Object.entries(steadyFields(metadata)).map(([name, value]) => [name, shortHash(encode(value))])),
    turns,
  };
}

/** The last instructions of a session, as they are stored. */
async function instructionsOf(source: SessionSource): Promise<string | undefined> {
  if (source.inMemory !== undefined) return source.inMemory.logs.get("instructions")?.at(-1)?.data;
  let last: string | undefined;
  for await (const { log, entry } of source.entries()) if (log === "instructions") last = entry.data;
  return last;
}

function digestOfTurn(entry: Entry): TurnDigest {
  const turn = turnOf(entry);
  const { key, status, agent } = turn;
  const { input, output } = wordsIn(turn);
  const { name, text } = formOf(turn);
  const lists = [input, output].map((texts) => texts.map(shortHash).join(""));
  const form = name === "" ? ["", ""] : [/^[\w-]+$/.test(name) ? name : shortHash(name), shortHash(text)];
  return [shortHash(encode({ key, status, agent })), ...lists, ...form].join(separator);
}

function partsOf(turn: TurnDigest): TurnParts {
  const [about = "", input = "", output = "", name = "", text = ""] = turn.split(separator);
  return { about, input, output, form: { name, text } };
}

function shortHash(text: string): string {
  return hash("sha256", text, "base64url").slice(0, 16);
}
