/** Digests of sessions and of their turns, by which a conversation that arrives is compared with the session that exists. */
import { hash } from "node:crypto";
import { hasTurns } from "../../domain/branches/segments.ts";
import { treeOf, type KeptBranch } from "../../domain/branches/tree.ts";
import { branchesLog, keptLog, type Entry, type LogName } from "../../domain/record/entry.ts";
import { turnOf } from "../../domain/turns/turn.ts";
import { encode, type Value } from "../../domain/values/codec.ts";
import type { SessionSource } from "../snapshots/session-source.ts";
import { steadyFields } from "./conversation.ts";
import { formOf, takesPlace, wordsIn, type TurnForm } from "./turn-words.ts";

/**
 * `same`: the session has all of the conversation. `grown`: the conversation continues the session. `earlier`: the session
 * has more than the conversation. `other`: neither, such as the same words with other metadata.
 */
export type Relation = "same" | "grown" | "earlier" | "other";

/** A session as far as a comparison needs it: some bytes for each message. */
export interface Digest {
  /** The hash of the user and of the instructions. */
  readonly about: string;
  /** The hash of each field of the metadata, by its name. */
  readonly fields: ReadonlyMap<string, string>;
  /** The turns of the current branch. */
  readonly turns: readonly TurnDigest[];
  /** The number of the current branch. */
  readonly current: number;
  /** The last activity in the current branch, epoch ms. */
  readonly at: number;
  /** The greatest number of a branch so far. */
  readonly made: number;
  /** The current branch stays: its last turn is in progress, or it has turns of another session. */
  readonly isFixed: boolean;
  /** The other branches. */
  readonly kept: readonly KeptDigest[];
}

/** A branch that is not the current one, with the turns that only it has. */
export interface KeptDigest extends Omit<KeptBranch, "messages"> {
  readonly turns: readonly TurnDigest[];
}

/**
 * The hashes of a turn as one text, which takes a fraction of the memory of many: of its status, of the messages of its input and of
 * its output, and of its form. All have one length, so that two lists begin alike where the messages do.
 */
export type TurnDigest = string;

const separator = "|";

interface TurnParts {
  readonly about: string;
  readonly input: string;
  readonly output: string;
  readonly form: TurnForm;
}

export function relationOfTurns(turn: TurnDigest, later: TurnDigest): Relation {
  const [one, other] = [partsOf(turn), partsOf(later)];
  if (one.about !== other.about) return "other";
  if (one.input === other.input && one.output === other.output) return "same";
  return isLonger(other, one) ? "grown" : isLonger(one, other) ? "earlier" : "other";
}

function isLonger(later: TurnParts, { input, output }: TurnParts): boolean {
  const begins = later.input.startsWith(input) && later.output.startsWith(output);
  return begins && (input === later.input || output === "");
}

/** True where an arriving turn that says the same has another form, which takes the place of the existing one. */
export function hasNewerForm(existing: TurnDigest, arriving: TurnDigest): boolean {
  return existing !== arriving && takesPlace(partsOf(existing).form, partsOf(arriving).form);
}

export async function digestOf(source: SessionSource): Promise<Digest> {
  const { user, metadata, branch, openTurn, inherited = 0, lastActivityAt: at } = source.record;
  const logs = new Map<LogName, TurnDigest[]>();
  let tree: Entry | undefined;
  let instructions = "";
  for await (const { log, entry } of source.entries())
    if (log === "instructions") instructions = entry.data;
    else if (log === branchesLog) tree = entry;
    else if (hasTurns(log)) {
      const turns = logs.get(log);
      if (turns === undefined) logs.set(log, [digestOfTurn(entry)]);
      else turns.push(digestOfTurn(entry));
    }
  const { current, kept } = treeOf(tree);
  return {
    about: shortHash(encode({ user, instructions })),
    fields: new Map(Object.entries(steadyFields(metadata)).map(([name, value]) => [name, shortHash(encode(value))])),
    turns: logs.get("turns") ?? none,
    current,
    at,
    made: branch?.made ?? current,
    isFixed: openTurn !== null || inherited > 0,
    kept: kept.length === 0 ? none : kept.map((one) => ({ ...one, turns: logs.get(keptLog(one.number)) ?? none })),
  };
}

/** The digest of the same session with another field in its metadata. */
export function withField(digest: Digest, name: string, value: Value): Digest {
  return { ...digest, fields: new Map([...digest.fields, [name, shortHash(encode(value))]]) };
}

/** One hash of all that the turns of the current branch say, in whatever form. */
export function wordsHash({ turns }: Digest): string {
  return shortHash(turns.map((turn) => turn.split(separator).slice(0, 3).join(separator)).join(" "));
}

const none: readonly never[] = [];

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
