/** How a conversation that arrives stands to the session that exists under its id. */
import { createHash, hash } from "node:crypto";
import type { Entry } from "../../domain/record/entry.ts";
import { turnOf, type Message } from "../../domain/turns/turn.ts";
import { encode } from "../../domain/values/codec.ts";
import { turnsOf, type SessionSource } from "../snapshots/session-source.ts";
import { steadyFields } from "./conversation.ts";

/**
 * `same`: the session has all of the conversation, byte for byte. `grown`: the conversation continues the session. `earlier`:
 * the session continues the conversation. `other`: neither, such as the same words with other metadata.
 */
export type Relation = "same" | "grown" | "earlier" | "other";

/** A session as far as a comparison needs it: some bytes for each message. */
export interface Digest {
  /** The hash of the user and of the instructions. */
  readonly about: string;
  /** The hash of each field of the metadata, by its name. */
  readonly fields: ReadonlyMap<string, string>;
  /** The hash of the turns as they are stored. */
  readonly stored: string;
  /** The hashes of what each turn says. */
  readonly turns: readonly TurnHashes[];
}

/** Metadata and the fields around the words, such as flags and tokens, may differ between two exports of one conversation. */
export function relationOf(existing: Digest, arriving: Digest): Relation {
  if (existing.about !== arriving.about) return "other";
  const isKnown = ([name, value]: readonly [string, string]): boolean => existing.fields.get(name) === value;
  if (existing.stored === arriving.stored && [...arriving.fields].every(isKnown)) return "same";
  if (continues(arriving, existing)) return "grown";
  return continues(existing, arriving) ? "earlier" : "other";
}

/** True where the later one begins with all that the other one says, and says more. */
function continues({ turns: later }: Digest, { turns }: Digest): boolean {
  const [last, next] = [turns.at(-1), later[turns.length - 1]];
  if (later.length < turns.length || !turns.slice(0, -1).every((turn, index) => turn === later[index])) return false;
  if (last === next) return later.length > turns.length;
  return isLonger(partsOf(next!), partsOf(last!));
}

export async function digestOf(source: SessionSource): Promise<Digest> {
  const { user, metadata } = source.record;
  const stored = createHash("sha256");
  const turns: TurnHashes[] = [];
  for await (const turn of turnsOf(source)) {
    stored.update(turn.data);
    turns.push(hashesOf(turn));
  }
  const instructions = (await instructionsOf(source)) ?? "";
  return {
    about: shortHash(encode({ user, instructions })),
    fields: new Map(Object.entries(steadyFields(metadata)).map(([name, value]) => [name, shortHash(encode(value))])),
    stored: stored.digest("base64url"),
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

/** True where the later turn says all that the other one says, and more: an answer, the result of a call, more of an answer. */
export function hasGrown(turn: Entry, later: Entry): boolean {
  return isLonger(partsOf(hashesOf(later)), partsOf(hashesOf(turn)));
}

/** The hashes of a turn as one text, which takes a fraction of the memory of many. */
type TurnHashes = string;

const separator = "|";

function hashesOf(entry: Entry): TurnHashes {
  const { key, status, agent, input, output } = turnOf(entry);
  const lists = [input, output].map((messages) => messages.map(hashOf).join(""));
  return [...lists, shortHash(encode({ key, status, agent }))].join(separator);
}

/** The hash of what a message says: not of its native form or of fields around it, which another export may write otherwise. */
function hashOf({ role, content, name, refusal, audio, tool_calls, tool_call_id, function_call }: Message): string {
  return shortHash(encode({ role, content, name, refusal, audio, tool_calls, tool_call_id, function_call }));
}

interface TurnParts {
  readonly input: string;
  readonly output: string;
  readonly about: string;
}

function partsOf(hashes: TurnHashes): TurnParts {
  const [input = "", output = "", about = ""] = hashes.split(separator);
  return { input, output, about };
}

function isLonger(later: TurnParts, { about, input, output }: TurnParts): boolean {
  return (
    about === later.about &&
    later.input.length + later.output.length > input.length + output.length &&
    (input === later.input || (output === "" && later.input.startsWith(input))) &&
    later.output.startsWith(output)
  );
}

/** Of one length, so that lists of hashes begin alike where the lists of messages do. */
function shortHash(text: string): string {
  return hash("sha256", text, "base64url").slice(0, 16);
}
