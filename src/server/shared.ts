import type { Answer, ConsultOptions, MessageInput, Session, Sessions } from "../index.ts";
import type { RateLimits } from "./rate-limits.ts";
import type { Routes } from "./route.ts";

/** How a message of a chat is answered. */
export type Converse = (session: Session, message: MessageInput, options: ConsultOptions) => Promise<Answer>;

/** What all routes of a server share. */
export interface Shared extends Routes {
  /** The sessions that devices belong to. */
  readonly sessions: Sessions;
  readonly converse: Converse;
  /** An answer runs to its end whoever hears it: a server that stops waits for it. */
  readonly outlive: (answer: Answer) => void;
  readonly limits: RateLimits;
  /** How long a request may take that is no stream. */
  readonly deadlineMs: number;
  /** Ends the streams: the server stops. */
  readonly stop: AbortSignal;
}
