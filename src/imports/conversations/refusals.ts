/** The errors of conversations that several forms refuse. */
import { SessionError } from "../../errors.ts";

/** A conversation without messages: an import counts it as empty. */
export function noMessages(path: string): SessionError {
  return new SessionError("message_invalid", { path, expected: "messages" });
}

/** A message that names no conversation, beside others that do. */
export function noConversationName(path: string): SessionError {
  return new SessionError("message_invalid", { path, expected: "conversation_name" });
}
