/**
 * The messages that a model is shown. These functions alone decide them, for `consult`, the manager, live sessions, the
 * command line and HTTP, and for exports in a provider's format. They are pure, and the strictest endpoints accept what
 * they make: one system message, the user first, roles in turns, each call with one result, no empty content, no unknown
 * kinds of parts.
 *
 * {@link requestMessages} takes these steps, in this order:
 *
 * 1. Leave out turns that failed with no answer: a model that refused a question would refuse it again.
 * 2. Bring each message into the form that every endpoint takes (shown-message.ts).
 * 3. Select the newest turns that fit into the window (window.ts).
 * 4. Answer a question that was interrupted with a marked line.
 * 5. Pair tool calls and results, across the border of two turns as well (paired-calls.ts).
 * 6. Move pictures and files of results into a message of the user after them (result-media.ts).
 * 7. Put the note of the handoff in front: an application's as an instruction, a model's as reported speech.
 * 8. Join all system messages at the beginning, and neighbours of one role (alternation.ts).
 *
 * {@link continueRequest} adds the answer of one model call and the results of its tools, for the next call of the turn.
 */
import type { Handoff } from "../record/record.ts";
import { alternate, noAnswer, proceed, systemMessage } from "./alternation.ts";
import { noteMessages } from "./handoff-note.ts";
import { pairCalls } from "./paired-calls.ts";
import { withoutMedia, withoutResultMedia } from "./result-media.ts";
import { shownMessages } from "./shown-message.ts";
import type { Message, Turn } from "../turns/turn.ts";
import { estimateTokens } from "../turns/usage.ts";
import { selectTurns, type WindowBounds } from "./window.ts";

/** The fields that decide how a turn is shown. */
export type PastTurn = Pick<Turn, "seq" | "status" | "input" | "output" | "requests" | "error">;

/** The content of a request. */
export interface RequestContent {
  /** The turns before the question, oldest first. */
  readonly turns: readonly PastTurn[];
  readonly question: readonly Message[];
  /** The startup context of the agent that answers. */
  readonly instructions?: string | undefined;
}

/** The bounds of a request, and the circumstances of its question. */
export interface RequestOptions {
  readonly window: WindowBounds;
  /** The handoff by which the answering agent is active. */
  readonly handoff?: Handoff | null;
  /** False for a model that refuses pictures, recordings and files of past turns. @default true */
  readonly showsPastMedia?: boolean;
}

/** The messages of the first model call of a turn. */
export function requestMessages(
  { turns, question, instructions }: RequestContent,
  { window, handoff = null, showsPastMedia = true }: RequestOptions,
): readonly Message[] {
  const past = selectTurns(turns.filter(isShown).map(shownTurn), window).map(({ messages }) =>
    showsPastMedia ? messages : messages.map(withoutMedia),
  );
  const paired = pairCalls([...past, question.flatMap(shownMessages)]);
  const conversation = withoutResultMedia(paired.flat());
  const note = noteMessages(handoff, conversation[0]);
  const own: readonly Message[] = instructions === undefined ? [] : [{ role: "system", content: instructions }];
  const all = [...own, ...note.system, ...note.reported, ...conversation];
  const shown = alternate(all);
  // Endpoints answer a message of the user or a result. A question of system messages alone is neither.
  const isAsked = !question.some(({ role }) => role === "assistant");
  const continues = question.length > 0 && isAsked && shown.at(-1)?.role === "assistant";
  return [...systemMessage(all), ...shown, ...(continues ? [proceed] : [])];
}

/** The messages of the next model call of the same turn, after its tools have run. */
export function continueRequest(
  messages: readonly Message[],
  { output, results }: { readonly output: readonly Message[]; readonly results: readonly Message[] },
): readonly Message[] {
  const added = withoutResultMedia([...output, ...results].flatMap(shownMessages));
  const system = messages.filter(({ role }) => role === "system");
  return [...system, ...alternate([...messages, ...added])];
}

/** True if the window shows a picture, a recording or a file of a past turn. */
export function showsMedia(turns: readonly PastTurn[], window: WindowBounds): boolean {
  const shown = selectTurns(turns.filter(isShown).map(shownTurn), window);
  return shown.some(({ messages }) => messages.some((message) => withoutMedia(message) !== message));
}

/**
 * The same window, cut to half of the tokens that the turns in it take; undefined where it shows none. For a model that
 * refused a request because of its length.
 */
export function halfWindow(turns: readonly PastTurn[], window: WindowBounds): WindowBounds | undefined {
  const shown = selectTurns(turns.filter(isShown).map(shownTurn), window);
  if (shown.length === 0) return undefined;
  const tokens = shown.reduce((sum, turn) => sum + turn.tokens, 0);
  return { turns: Math.ceil(shown.length / 2), tokens: Math.floor(tokens / 2) };
}

/** True for a turn that a model is shown. */
export function isShown({ status, output }: PastTurn): boolean {
  return status !== "failed" || output.some(isAnswer);
}

/** True for a message with words or calls of the assistant. */
function isAnswer(message: Message): boolean {
  return message.role === "assistant" && shownMessages(message).length > 0;
}

interface ShownTurn {
  readonly seq: number;
  readonly messages: readonly Message[];
  readonly tokens: number;
}

function shownTurn(turn: PastTurn): ShownTurn {
  const { seq, status, requests } = turn;
  const input = turn.input.flatMap(shownMessages);
  const output = shownOutput(turn).flatMap(shownMessages);
  const isUnanswered = input.length > 0 && !output.some(({ role }) => role === "assistant");
  const closing = isUnanswered && (status === "interrupted" || requests > 0);
  const reason = status === "interrupted" ? "interrupted" : undefined;
  const messages = [...input, ...output, ...(closing ? [noAnswer(reason)] : [])];
  return { seq, messages, tokens: estimateTokens(messages) };
}

/**
 * The output of a turn. Where the model refused a later call of the turn, a result of a tool may be what it refused: only
 * the words are shown, and the names of the tools, because they may have had effects.
 */
function shownOutput({ status, output, error }: PastTurn): readonly Message[] {
  if (status !== "failed" || error?.code !== "model_refused") return output;
  const shown = output.flatMap(shownMessages);
  const tools = shown.flatMap(({ tool_calls: calls }) => calls ?? []).map(({ function: called }) => called.name);
  const words = shown.filter(({ role }) => role === "assistant").map(({ tool_calls: _, ...message }) => message);
  return tools.length === 0 ? words : [...words, noAnswer(`interrupted after calls of ${tools.join(", ")}`)];
}
