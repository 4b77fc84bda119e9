/**
 * The messages that a model is shown. These functions alone decide them, for `consult`, the manager, live sessions, the
 * command line and HTTP, and for exports in a provider's format. They are pure.
 *
 * {@link requestMessages} takes these steps, in this order:
 *
 * 1. Select turns: the newest whole turns that fit into the window. It cuts between turns.
 * 2. Pair tool calls: a marked result closes each call that its turn leaves without one.
 * 3. Append the question.
 * 4. Put the note of the handoff in front: an application's as an instruction, a model's as reported speech.
 * 5. Put the instructions of the agent first.
 *
 * {@link continueRequest} adds the answer of one model call and the results of its tools, for the next call of the turn.
 */
import type { Handoff } from "../record/record.ts";
import { noteMessages } from "./handoff-note.ts";
import { closeToolCalls, type Message, type Turn } from "./turn.ts";
import { estimateTokens } from "./usage.ts";
import type { WindowBounds } from "./window.ts";

/** The content of a request. */
export interface RequestContent {
  /** The turns before the question, oldest first. */
  readonly turns: readonly Pick<Turn, "input" | "output">[];
  readonly question: readonly Message[];
  /** The startup context of the agent that answers. */
  readonly instructions?: string | undefined;
}

/** The bounds of a request, and the circumstances of its question. */
export interface RequestOptions {
  readonly window: WindowBounds;
  /** The handoff by which the answering agent is active. */
  readonly handoff?: Handoff | null;
}

/** The messages of the first model call of a turn. */
export function requestMessages(
  { turns, question, instructions }: RequestContent,
  { window, handoff = null }: RequestOptions,
): readonly Message[] {
  const past = newestTurns(turns, window);
  const conversation = [...past.flat(), ...question];
  const note = noteMessages(handoff, conversation[0]);
  const system: readonly Message[] = instructions === undefined ? [] : [{ role: "system", content: instructions }];
  return [...system, ...note.system, ...note.reported, ...conversation];
}

/** The messages of the next model call of the same turn, after its tools have run. */
export function continueRequest(
  messages: readonly Message[],
  { output, results }: { readonly output: readonly Message[]; readonly results: readonly Message[] },
): readonly Message[] {
  return [...messages, ...output, ...results];
}

/** The messages of the newest turns that fit into the window, turn by turn, oldest first. */
function newestTurns(turns: RequestContent["turns"], window: WindowBounds): readonly (readonly Message[])[] {
  const chosen: (readonly Message[])[] = [];
  let tokens = 0;
  for (const turn of turns.toReversed()) {
    const messages = turnMessages(turn);
    tokens += estimateTokens(messages);
    if (chosen.length >= window.turns || tokens > window.tokens) break;
    chosen.push(messages);
  }
  return chosen.toReversed();
}

/** The messages of one turn as a model is shown them. */
function turnMessages({ input, output }: Pick<Turn, "input" | "output">): readonly Message[] {
  return closeToolCalls([...input, ...output]);
}
