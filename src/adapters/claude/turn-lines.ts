/** Lines of a transcript as messages of turns, and turns that other frameworks have written as lines. */
import { defined } from "../../domain/values/defined.ts";
import { sameValue, toFormat, type Message, type Turn, type Value } from "../../index.ts";
import { knownEarlier, places, spanOf } from "../projection/foreign-names.ts";
import type { ForeignMessages, ItemUsage, ProjectedItem } from "../projection/projected-turns.ts";
import { shownMessages } from "../projection/shown-messages.ts";
import type { ClaudeEntry } from "./entries.ts";
import { nodeCrypto } from "../../node-crypto.ts";

/** The format of messages of Claude. */
const format = "anthropic";

/** The model of an answer of another framework that names none. */
const unknownModel = "unknown";

type Fields = Readonly<Record<string, unknown>>;

/**
 * The messages of a line in the turns. An answer of several lines is one message, known by the id that all of them have. Lines of
 * subagents, summaries of compactions, errors, and lines that the SDK hides or that have no message are in no turn.
 */
export function itemOf(line: ClaudeEntry): ProjectedItem | undefined {
  const { type, uuid, message } = line;
  const isSaid = type === "user" || type === "assistant";
  const isHidden = [line["isMeta"], line["isSidechain"], line["isCompactSummary"], line["isApiErrorMessage"]].includes(
    true,
  );
  if (!isSaid || isHidden || uuid === undefined) return undefined;
  const { content, id, usage, model } = fieldsOf(message);
  const messages = shownMessages({ role: type, content: plainContent(content) }, format);
  const answer = type === "assistant" && typeof id === "string" ? id : undefined;
  const item = { id: answer ?? uuid, messages, kind: answer === undefined ? ("new" as const) : ("more" as const) };
  if (answer === undefined) return item;
  const isModel = typeof model === "string" && !noModels.includes(model);
  return {
    ...item,
    ...defined({ usage: isCopy(line) ? undefined : usageOf(usage), model: isModel ? model : undefined }),
  };
}

/** The models of answers that no model gave, or of which none is known. */
const noModels: readonly string[] = ["<synthetic>", unknownModel];

/** True for a line of a fork that another session has too. Its tokens count there. */
function isCopy({ forkedFrom, requestSessionId, sessionId }: ClaudeEntry): boolean {
  return forkedFrom !== undefined || (requestSessionId !== undefined && requestSessionId !== sessionId);
}

/** The tokens of an answer so far; undefined where its line has none. The provider counts its cache apart from the input. */
function usageOf(usage: unknown): ItemUsage | undefined {
  const counts = fieldsOf(usage);
  const count = (value: unknown): number | undefined =>
    Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : undefined;
  const cachedTokens = count(counts["cache_read_input_tokens"]);
  const apart = (cachedTokens ?? 0) + (count(counts["cache_creation_input_tokens"]) ?? 0);
  const inputTokens = (count(counts["input_tokens"]) ?? 0) + apart;
  const outputTokens = count(counts["output_tokens"]) ?? 0;
  if (inputTokens + outputTokens === 0) return undefined;
  const reasoningTokens = count(fieldsOf(counts["output_tokens_details"])["thinking_tokens"]);
  return { inputTokens, outputTokens, ...defined({ cachedTokens, reasoningTokens }) };
}

/** One block of text as the text. */
function plainContent(content: unknown): unknown {
  const [block, ...others] = Array.isArray(content) ? (content as readonly unknown[]) : [];
  const { type, text } = fieldsOf(block);
  return type === "text" && others.length === 0 ? text : content;
}

/** A message of another framework in the form of Claude, with the uuid of its line, which is always the same. */
export interface ShownValue {
  readonly turn: Turn;
  readonly uuid: string;
  /** The index of the message among those of others in its turn. */
  readonly index: number;
  readonly value: { readonly role: "user" | "assistant"; readonly content: unknown };
}

/** The messages of others that the transcript does not have. A uuid says which of the equal messages of the turn it is. */
export function shownValuesOf(from: ForeignMessages, sessionId: string): readonly ShownValue[] {
  const { turn, messages, known } = from;
  const placeOf = places();
  const shown: ShownValue[] = [];
  for (let index = 0; index < messages.length;) {
    const span = spanOf(messages, index, format);
    // Each message by itself: which ones others have added together does not change its form.
    const values = toFormat(messages.slice(index, index + span), format).flatMap((value) =>
      withoutResults(value, answeredIn(turn, messages.slice(index, index + span))),
    );
    for (const value of values) {
      const uuid = uuidOfPlace(from, sessionId, placeOf(value as unknown as Value));
      if (index + span > known) shown.push({ turn, uuid, index, value });
    }
    index += span;
  }
  return shown;
}

/** A result that others have given after the line of its call was shown: a line may stand for it. */
export interface LateResult {
  /** The index of its message among those of others in its turn. */
  readonly index: number;
  readonly result: Value;
  /** What stands for it. */
  readonly standIn: Value;
  /** The uuids that the line may have: it stood for all results that were missing then. */
  readonly uuids: readonly string[];
}

/** The results of others whose calls the transcript has, or may have. */
export function lateResultsOf(from: ForeignMessages, sessionId: string): readonly LateResult[] {
  const { turn, messages, known, mayBeKnown } = from;
  const answered = [...turn.input, ...turn.output].flatMap(({ role, tool_call_id: id }) =>
    role === "tool" ? [id] : [],
  );
  const standIns = new Map<unknown, Pick<LateResult, "standIn" | "uuids">>();
  const late: LateResult[] = [];
  for (const [index, message] of messages.entries()) {
    if (message.role === "tool") {
      const missing = index >= known || mayBeKnown ? standIns.get(message.tool_call_id) : undefined;
      const [result] = missing === undefined ? [] : resultsIn(toFormat([message], format));
      if (missing !== undefined && result !== undefined) late.push({ index, result: result as Value, ...missing });
      continue;
    }
    if (index >= known && !mayBeKnown) continue;
    const [value] = toFormat([message], format).slice(1);
    if (value === undefined) continue;
    const missing = resultsIn([value]);
    const ids = answered.filter((id) => missing.some(({ tool_use_id: of }) => of === id));
    const uuids = [...ids, undefined].flatMap((_, count) =>
      withoutResults(value, new Set(ids.slice(0, count))).map((rest) =>
        uuidOfPlace(from, sessionId, places()(rest as unknown as Value)),
      ),
    );
    for (const block of missing) standIns.set(block["tool_use_id"], { standIn: block as Value, uuids });
  }
  return late;
}

/** The line with a result in the place of what stands for it; the same line where it has the result; undefined where it has neither. */
export function withResult(line: ClaudeEntry, { result, standIn }: LateResult): ClaudeEntry | undefined {
  const { message } = line;
  const content = contentOf(message as Value);
  const { tool_use_id: id } = fieldsOf(standIn);
  const at = content.findIndex(({ type, tool_use_id: of }) => type === "tool_result" && of === id);
  if (at === -1 || !sameValue(content[at] as Value, standIn)) return at === -1 ? undefined : line;
  return { ...line, message: { ...fieldsOf(message), content: content.with(at, fieldsOf(result)) } };
}

function resultsIn(values: readonly Value[]): readonly Fields[] {
  return values.flatMap(contentOf).filter(({ type }) => type === "tool_result");
}

/**
 * Finds the messages that the transcript has under uuids of an earlier build.
 * @param storedOf those of some uuids that the transcript has
 * @returns true for the index of such a message
 */
export async function knownEarlierIn(
  from: ForeignMessages,
  sessionId: string,
  storedOf: (uuids: readonly string[]) => Promise<ReadonlySet<string>>,
): Promise<(index: number) => boolean> {
  return await knownEarlier(from.messages, {
    valuesOf: (messages) => toFormat(messages, format),
    hasMessage: (value, messages) => {
      const given = new Set(messages.map(({ tool_call_id: id }) => id));
      return contentOf(value).some(({ type, tool_use_id: id }) => type !== "tool_result" || given.has(id as string));
    },
    storedOf: async (names) => {
      const uuids = new Map(names.map((name) => [uuidOfPlace(from, sessionId, name), name]));
      const stored = await storedOf([...uuids.keys()]);
      return new Set([...uuids].flatMap(([uuid, name]) => (stored.has(uuid) ? [name] : [])));
    },
  });
}

function uuidOfPlace({ turn }: ForeignMessages, sessionId: string, place: string): string {
  return uuidOf(`${sessionId}/${turn.seq}/${place}/${turn.at.getTime()}`);
}

/** The ids of the calls whose results are in other messages of the turn. */
function answeredIn({ input, output }: Turn, messages: readonly Message[]): ReadonlySet<unknown> {
  const own = new Set(messages.map(({ tool_call_id: id }) => id));
  const ids = [...input, ...output].flatMap(({ role, tool_call_id: id }) => (role === "tool" ? [id] : []));
  return new Set(ids.filter((id) => !own.has(id)));
}

/** The value without the results that stand for those of other messages; none where nothing else is in it. */
function withoutResults(value: Value, answered: ReadonlySet<unknown>): readonly ShownValue["value"][] {
  const shown = value as unknown as ShownValue["value"];
  const content = contentOf(value);
  const rest = content.filter(({ type, tool_use_id: id }) => type !== "tool_result" || !answered.has(id));
  if (rest.length === content.length) return [shown];
  return rest.length === 0 ? [] : [{ ...shown, content: rest }];
}

function contentOf(value: Value): readonly Fields[] {
  const { content } = fieldsOf(value);
  return Array.isArray(content) ? (content as readonly Fields[]) : [{ type: "text", text: content }];
}

/**
 * The lines in the place of messages that others have written, each behind the one before.
 * @param last the line that they are behind
 */
export function linesOfTurns(
  shown: readonly (readonly ShownValue[])[],
  { sessionId, last }: { readonly sessionId: string; readonly last: ClaudeEntry | undefined },
): readonly (readonly ClaudeEntry[])[] {
  const { cwd, version, gitBranch } = (last ?? {}) as Fields;
  let parentUuid = last?.uuid ?? null;
  return shown.map((values) =>
    values.map(({ turn, uuid, value: { role, content } }) => {
      const line: ClaudeEntry = defined({
        parentUuid,
        isSidechain: false,
        userType: "external",
        cwd,
        sessionId,
        version,
        gitBranch,
        type: role,
        message: role === "user" ? { role, content } : answerOf(uuid, content, turn.model),
        uuid,
        timestamp: turn.at.toISOString(),
      });
      parentUuid = uuid;
      return line;
    }),
  );
}

/** An answer with the fields that the API of Anthropic gives it. */
function answerOf(uuid: string, given: unknown, model = unknownModel): object {
  const content = (typeof given === "string" ? [{ type: "text", text: given }] : given) as readonly Fields[];
  const isCalling = content.some(({ type }) => type === "tool_use");
  return {
    id: `msg_${uuid.replaceAll("-", "")}`,
    type: "message",
    role: "assistant",
    model,
    content,
    stop_reason: isCalling ? "tool_use" : "end_turn",
    stop_sequence: null,
    usage: { input_tokens: 0, output_tokens: 0 },
  };
}

/** A uuid (version 8: made of a hash) for a text. */
function uuidOf(text: string): string {
  const digits = nodeCrypto().createHash("sha256").update(text).digest("hex");
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-8${digits.slice(13, 16)}-8${digits.slice(17, 20)}-${digits.slice(20, 32)}`;
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}
