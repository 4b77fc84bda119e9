/** How a server asks for an answer, and how it continues one that waits. */
import type { Answer, ConsultOptions, Decisions, MessageInput, Session } from "../index.ts";

/** Answers a chat message. */
export type Converse = (session: Session, message: MessageInput, options: ConsultOptions) => Promise<Answer>;

/** Decides on the tool calls for which a turn waits, and continues its answer. */
export type Approve = (session: Session, token: string, decisions: Decisions) => Promise<Answer>;
