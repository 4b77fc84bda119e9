import type { Message } from "../domain/turns/turn.ts";
import type { Model } from "../sessions/options/model.ts";
import type { Agent } from "../sessions/options/options.ts";
import type { Session } from "../sessions/session/session.ts";

/**
 * Chooses the agent for a message while none is active: an agent's name, or null if none fits. The router gets at most
 * the first 20 000 characters of the message.
 */
export type Router = (text: string, context: RouterContext) => string | null | Promise<string | null>;

/** Facts for a router. */
export interface RouterContext {
  /** The agents by name, in order. */
  readonly agents: ReadonlyMap<string, Agent>;
  readonly session: Session;
  /** The model that will answer. */
  readonly model: Model;
  /** Aborts when the message is withdrawn or the router's time is up. */
  readonly signal: AbortSignal;
}

/** The subject of a message is at its beginning. */
const textLengthMax = 20_000;

/** The text by which a message is routed: what the user wrote, without images and files. */
export function routedText(messages: readonly Message[]): string {
  const texts = messages.filter(({ role }) => role === "user").flatMap(({ content }) => textsOf(content));
  return texts.join("\n").slice(0, textLengthMax);
}

function textsOf(content: Message["content"]): readonly string[] {
  if (typeof content === "string") return [content];
  if (!Array.isArray(content)) return [];
  return content.flatMap((part: { text?: unknown } | null) => (typeof part?.text === "string" ? [part.text] : []));
}
