import type { ConversationInfo, SharedInfo, SharedTurn, ShareInfo } from "../index.ts";

/** A value whose instants are texts. */
type WithTexts<T, Name extends keyof T> = Omit<T, Name> & Readonly<Record<Name, string>>;

/** A conversation. */
export type WireConversation = WithTexts<ConversationInfo, "createdAt" | "updatedAt">;

export function wireConversation(info: ConversationInfo): WireConversation {
  return { ...info, createdAt: info.createdAt.toISOString(), updatedAt: info.updatedAt.toISOString() };
}

export function conversationOfWire(wire: WireConversation): ConversationInfo {
  return { ...wire, createdAt: new Date(wire.createdAt), updatedAt: new Date(wire.updatedAt) };
}

/** A share, with its token where it is new. */
export type WireShare = WithTexts<ShareInfo, "createdAt" | "expiresAt">;

export function wireShare<Share extends ShareInfo>(share: Share): WithTexts<Share, "createdAt" | "expiresAt"> {
  return { ...share, createdAt: share.createdAt.toISOString(), expiresAt: share.expiresAt.toISOString() };
}

export function shareOfWire<Share extends WireShare>(
  wire: Share,
): Omit<Share, "createdAt" | "expiresAt"> & Pick<ShareInfo, "createdAt" | "expiresAt"> {
  return { ...wire, createdAt: new Date(wire.createdAt), expiresAt: new Date(wire.expiresAt) };
}

/** A shared session, as its readers see it. */
export type WireShared = WithTexts<SharedInfo, "createdAt" | "updatedAt" | "expiresAt">;

export function wireShared(info: SharedInfo): WireShared {
  const [createdAt, updatedAt] = [info.createdAt.toISOString(), info.updatedAt.toISOString()];
  return { ...info, createdAt, updatedAt, expiresAt: info.expiresAt.toISOString() };
}

export function sharedOfWire(wire: WireShared): SharedInfo {
  const [createdAt, updatedAt] = [new Date(wire.createdAt), new Date(wire.updatedAt)];
  return { ...wire, createdAt, updatedAt, expiresAt: new Date(wire.expiresAt) };
}

/** A turn in a shared session. */
export type WireSharedTurn = WithTexts<SharedTurn, "at">;

export function wireSharedTurn(turn: SharedTurn): WireSharedTurn {
  return { ...turn, at: turn.at.toISOString() };
}

export function sharedTurnOfWire(turn: WireSharedTurn): SharedTurn {
  return { ...turn, at: new Date(turn.at) };
}
