import type { Answer, Session, Sessions } from "../../index.ts";
import type { Approve, Converse } from "../../serving/converse.ts";
import type { KeyRing } from "../../serving/configured-keys.ts";
import type { DeviceUsage } from "./device-budgets.ts";
import type { RateLimits } from "../../serving/rate-limits.ts";
import type { RequestContext, Routes } from "./route.ts";

/** The parts of a server that all routes share. */
export interface Shared extends Routes {
  /** Sessions of the devices. */
  readonly sessions: Sessions;
  readonly converse: Converse;
  readonly approve: Approve;
  /** Devices may decide on the tool calls of their sessions. */
  readonly deviceApprovals: boolean;
  readonly keys: KeyRing;
  /**
   * Opens the session of a device, creating it for this agent if needed; then the device counts as new.
   * @throws SessionError `rate_limited`
   */
  readonly openDevice: (c: RequestContext, device: string, agent?: string) => Promise<Session>;
  /**
   * Finds the session of a device; a device without one counts as new.
   * @throws SessionError `rate_limited`
   */
  readonly findDevice: (c: RequestContext, device: string) => Promise<Session | undefined>;
  /** Tracks an answer that runs to its end without a reader: a stopping server and a serverless host wait for it. */
  readonly outlive: (c: RequestContext, answer: Answer) => void;
  readonly limits: RateLimits;
  readonly deviceUsage: DeviceUsage;
  /** Time limit of a request that is not a stream. */
  readonly deadlineMs: number;
  /** Aborts when the server is to get no more requests, before it stops. */
  readonly drain: AbortSignal;
  /** Aborts the streams when the server stops. */
  readonly stop: AbortSignal;
}
