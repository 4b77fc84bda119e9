/** Conversations of which each has a shape of its own: messages of several formats, and exchanges. */
import type { ConversationFormat } from "../conversations/conversation-format.ts";
import { mixedChats } from "./chat.ts";
import { exchanges } from "./exchanges.ts";

export const mixed: ConversationFormat = {
  ...mixedChats,
  kindOf: (document) => mixedChats.kindOf(document) ?? exchanges.kindOf(document),
  read: (documents, options) => {
    const form = mixedChats.kindOf(documents[0].value) === undefined ? exchanges : mixedChats;
    return form.read(documents, options);
  },
};
