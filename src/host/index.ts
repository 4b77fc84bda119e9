export { startHost, Host, type HostMetrics, type LiveInfo, type RecoverOptions, type Recovery } from "./host.ts";
export type { HostOptions, Isolation, WhenFull } from "./options.ts";
export type { RestartOptions } from "./restarts.ts";
export type { Runtime, RuntimeState } from "./runtime.ts";
export { LiveSession } from "./live-session.ts";
export type { Phase } from "./actor.ts";
export type { HostEvent } from "./surroundings.ts";
