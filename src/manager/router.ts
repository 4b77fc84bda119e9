import type { Message } from "../domain/turns/turn.ts";
import type { Model } from "../sessions/options/model.ts";
import type { Agent } from "../sessions/options/options.ts";
import type { Session } from "../sessions/session/session.ts";

/**
 * Chooses who answers a message where nobody has the floor: the name of an agent, or null where none fits. It is given
 * the message's text, at most its first 20 000 characters.
 */
export type Router = (text: string, context: RouterContext) => string | null | Promise<string | null>;

/** What a router may look at. */
export interface RouterContext {
  /** The agents by name, in their order. */
  readonly agents: ReadonlyMap<string, Agent>;
  readonly session: Session;
  /** The one that will answer. */
  readonly model: Model;
  /** Aborts when the message was withdrawn or the router's time is up. */
  readonly signal: AbortSignal;
}

/** Routing reads no further: what a message is about stands at its beginning. */
const textLengthMax = 20_000;

/** The text that a message is routed by: what the user said in it, without pictures and files. */
export function routedText(messages: readonly Message[]): string {
  const texts = messages.filter(({ role }) => role === "user").flatMap(({ content }) => textsOf(content));
  return texts.join("\n").slice(0, textLengthMax);
}

function textsOf(content: Message["content"]): readonly string[] {
  if (typeof content === "string") return [content];
  if (!Array.isArray(content)) return [];
  return content.flatMap((part: { text?: unknown } | null) => (typeof part?.text === "string" ? [part.text] : []));
}
