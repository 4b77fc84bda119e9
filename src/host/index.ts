/**
 * Live sessions: each runs code of its own, supervised and isolated from the others.
 *
 * @module perdure/host
 */
export { startHost, Host, type ActivityOptions, type TerminateIdleOptions } from "./host.ts";
export type { HostGauges, HostMetrics } from "./host-metrics.ts";
export type { RecoverOptions, Recovery } from "./recovery.ts";
export type { LiveInfo } from "./live-info.ts";
export type { HostOptions, Isolation, WhenFull } from "./runtime/options.ts";
export type { RestartOptions } from "./runtime/restarts.ts";
export type { Runtime } from "./runtime/runtime.ts";
export { LiveSession } from "./runtime/live-session.ts";
export type { Phase } from "./actor/actor.ts";
export type { HostEvent } from "./actor/actor-context.ts";
