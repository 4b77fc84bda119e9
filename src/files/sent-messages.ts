/** The messages of a session as an export in a provider's format writes them, so that each provider and each import takes them. */
import { resultAsUser, shownMessages, mediaOf } from "../domain/request/shown-message.ts";
import { callsIn, stepsOf, textOf } from "../domain/turns/message-steps.ts";
import type { Message } from "../domain/turns/turn.ts";
import { acceptedCallId } from "../domain/values/ids.ts";
import { withCallIds } from "../formats/calls/call-ids.ts";

/**
 * The messages with an id for each call and its result, and a result without its call as words of the user. A message that stays
 * as it is keeps its native form.
 */
export function pairedMessages(messages: readonly Message[]): readonly Message[] {
  const open: string[] = [];
  const answers = (id: string): boolean => {
    const at = open.indexOf(id);
    if (at >= 0) open.splice(at, 1);
    return at >= 0;
  };
  return withCallIds(messages.map((message) => [message]))
    .flat()
    .flatMap((message) => {
      open.push(...callsIn(message).map(({ id }) => id));
      const loose = new Set(resultIds(message).filter((id) => !answers(id)));
      if (loose.size === 0) return [message];
      return shownMessages(message).map((shown) => (isLoose(shown, loose) ? asWords(shown) : shown));
    });
}

function isLoose({ role, tool_call_id: id = "" }: Message, loose: ReadonlySet<string>): boolean {
  return role === "tool" && loose.has(id);
}

function asWords({ tool_call_id: name = "", content }: Message): Message {
  return resultAsUser({ name, text: textOf(content), media: mediaOf(content) });
}

/** The messages with ids of calls that every endpoint takes, of a call and of its result alike. */
export function withAcceptedIds(messages: readonly Message[]): readonly Message[] {
  const isOther = (id: string): boolean => acceptedCallId(id) !== id;
  return messages.flatMap((message) => {
    const ids = [...callsIn(message).map(({ id }) => id), ...resultIds(message)];
    return ids.some(isOther) ? shownMessages(message).map(withAcceptedId) : [message];
  });
}

/** A message in the form of chat completions, with such ids. */
export function withAcceptedId(message: Message): Message {
  const { tool_calls: calls, tool_call_id: id } = message;
  return {
    ...message,
    ...(calls == null ? {} : { tool_calls: calls.map((call) => ({ ...call, id: acceptedCallId(call.id) })) }),
    ...(id == null ? {} : { tool_call_id: acceptedCallId(id) }),
  };
}

/** The ids of the calls whose results a message holds. */
function resultIds(message: Message): readonly string[] {
  const results = stepsOf(message).flatMap((step) => step.results);
  const all = results.length === 0 && message.role === "tool" ? [message] : results;
  return all.map(({ tool_call_id: id = "" }) => id);
}
