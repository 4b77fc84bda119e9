/**
 * Sessions and chats over HTTP, for browsers and Node.
 *
 * @module perdure/client
 */
export { browserDevice, chat, Chat, type ChatOptions, type KeyValueStorage, type SayOptions } from "./chat.ts";
export {
  connect,
  RemoteSessions,
  type RemoteSearchQuery,
  type ConnectOptions,
  type RemoteSendOptions,
  type RemoteStatsQuery,
} from "./remote-sessions.ts";
export { RemoteSession, type RemoteConsultOptions, type RemoteSummarizeOptions } from "./remote-session.ts";
export { RemoteConversations, type NewConversation } from "./conversations/remote-conversations.ts";
export {
  DeviceConversation,
  DeviceConversations,
  type AskOptions,
  type ConversationsSearch,
} from "./conversations/device-conversations.ts";
export { openShare, RemoteSharedSession, type OpenShareOptions } from "./conversations/shares.ts";
export { RemoteDocuments } from "./remote-documents.ts";
export { RemoteAttachments } from "./attachments/remote-attachments.ts";
export { RemoteLog } from "./remote-log.ts";
export { RemoteProducer, type RemoteStreamEnd } from "./remote-producer.ts";
export { RemoteStreams, type RemoteAcquiredStream, type RemoteAcquireOptions } from "./remote-streams.ts";
export { Answer } from "../domain/turns/answer.ts";
export { errorCodes, hasCode, SessionError, type ErrorCode, type ErrorDetails } from "../errors.ts";
