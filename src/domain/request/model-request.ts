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
 * 7. Put the pinned turns and the summary of the earlier ones in front (memory.ts), and ahead of them the note of the handoff: an
 *    application's as an instruction, a model's as reported speech.
 * 8. Join all system messages at the beginning, and neighbours of one role (alternation.ts).
 *
 * {@link continueRequest} adds the answer of one model call and the results of its tools, for the next call of the turn.
 */
import type { Handoff } from "../record/record.ts";
import { alternate, proceed, systemMessage } from "./alternation.ts";
import { noteMessages } from "./handoff-note.ts";
import { pairCalls } from "./paired-calls.ts";
import { withoutMedia, withoutResultMedia } from "./result-media.ts";
import { isShown, shownTurn, type PastTurn } from "./shown-turn.ts";
import { shownMessages } from "./shown-message.ts";
import { summaryMessages, type ShownMemory } from "./memory.ts";
import type { Message } from "../turns/turn.ts";
import { selectTurns, type WindowBounds } from "./window.ts";

/** The content of a request. */
export interface RequestContent {
  /** The turns before the question, oldest first. */
  readonly turns: readonly PastTurn[];
  /** The summary and the pinned turns that `remembered` leaves, with those turns and with that window. @default none */
  readonly memory?: ShownMemory | undefined;
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
  { turns, memory, question, instructions }: RequestContent,
  { window, handoff = null, showsPastMedia = true }: RequestOptions,
): readonly Message[] {
  const selected = selectTurns(turns.filter(isShown).map(shownTurn), window);
  const first = selected[0]?.seq ?? Number.POSITIVE_INFINITY;
  const pinned = (memory?.pinned ?? []).filter(({ seq }) => seq < first).map(shownTurn);
  const past = [...pinned, ...selected].map(({ messages }) => (showsPastMedia ? messages : messages.map(withoutMedia)));
  const paired = pairCalls([...past, question.flatMap(shownMessages)]);
  const conversation = withoutResultMedia(paired.flat());
  const summary = memory?.summary === undefined ? [] : summaryMessages(memory.summary.text, conversation[0]);
  const note = noteMessages(handoff, summary[0] ?? conversation[0]);
  const own: readonly Message[] = instructions === undefined ? [] : [{ role: "system", content: instructions }];
  const all = [...own, ...note.system, ...note.reported, ...summary, ...conversation];
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

/** True if a model is shown a picture, a recording or a file of a past turn. */
export function showsMedia({ turns, memory }: Omit<RequestContent, "question">, window: WindowBounds): boolean {
  const pinned = memory?.pinned ?? [];
  const shown = [...pinned.map(shownTurn), ...selectTurns(turns.filter(isShown).map(shownTurn), window)];
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
