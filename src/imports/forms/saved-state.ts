/** Sessions as a runtime saves them: the id of a session beside its state, which has the messages. */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import type { Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { aboutConversation, says } from "../conversations/about.ts";
import type { Conversation } from "../../sessions/transfer/conversation.ts";
import type { ConversationFormat } from "../conversations/conversation-format.ts";
import { chatForms } from "./chat.ts";
import { exchanges } from "./exchanges.ts";
import { mixed } from "./mixed.ts";
import { noMessages } from "../conversations/refusals.ts";

/** The forms of a state. */
const stateForms: readonly ConversationFormat[] = [exchanges, ...chatForms, mixed];

export const savedState: ConversationFormat = {
  name: "saved-state",
  title: "saved states of sessions",
  // A folder of saved sessions may have both: those with a state, and those with the messages themselves.
  kindOf: (document) =>
    isFields(document) &&
    typeof document["session_id"] === "string" &&
    (isFields(document["state"]) || formOf(document) !== undefined)
      ? "conversation"
      : undefined,
  read: ([{ value, place }], options) => {
    const { state, ...fields } = value as Fields;
    if (!isFields(state)) return formOf(value)!.read([{ value, place }], options);
    const form = formOf(state);
    if (form === undefined) throw noMessages(place);
    const about = aboutConversation(fields, []);
    /** What the state says of the conversation, where the fields around it say something else. */
    const otherIn = (conversation: Conversation): Fields =>
      defined(
        Object.fromEntries(
          (["id", "title", "user", "agent", "createdAt", "updatedAt"] as const).map((name) => {
            const [own, inner] = [about[name], conversation[name]];
            return [name, own === undefined || own === inner ? undefined : inner];
          }),
        ),
      ) as Fields;
    return form.read([{ value: state, place: `${place} state` }], options).map(({ metadata, ...conversation }) => {
      // What else the state has.
      const rest = { ...otherIn(conversation), ...metadata } as Fields;
      const own = says(rest) ? { state: rest } : {};
      return { ...conversation, ...about, metadata: { ...about.metadata, ...own } };
    });
  },
};

function formOf(state: Value): ConversationFormat | undefined {
  return stateForms.find(({ kindOf }) => kindOf(state) === "conversation");
}
