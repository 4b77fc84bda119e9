import type { Answer, ConsultOptions, MessageInput, Session, Sessions } from "../../index.ts";
import type { DeviceSpending } from "./device-budgets.ts";
import type { RateLimits } from "./rate-limits.ts";
import type { RequestContext, Routes } from "./route.ts";

/** How a message of a chat is answered. */
export type Converse = (session: Session, message: MessageInput, options: ConsultOptions) => Promise<Answer>;

/** What all routes of a server share. */
export interface Shared extends Routes {
  /** The sessions that devices belong to. */
  readonly sessions: Sessions;
  readonly converse: Converse;
  /** The session of a device, begun where it has none; a device without one counts as new. @throws SessionError `rate_limited` */
  readonly openDevice: (c: RequestContext, device: string) => Promise<Session>;
  /** The session of a device; a device without one counts as new. @throws SessionError `rate_limited` */
  readonly findDevice: (c: RequestContext, device: string) => Promise<Session | undefined>;
  /** An answer runs to its end whoever hears it: a server that stops waits for it. */
  readonly outlive: (answer: Answer) => void;
  readonly limits: RateLimits;
  readonly spending: DeviceSpending;
  /** How long a request may take that is no stream. */
  readonly deadlineMs: number;
  /** Ends the streams: the server stops. */
  readonly stop: AbortSignal;
}
