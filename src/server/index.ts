/**
 * The HTTP server.
 *
 * @module perdure/server
 */
export { createServer, type RequestLifetime, type Server } from "./app.ts";
export type { ServerOptions } from "./options.ts";
export type { LogEntry } from "./request-log.ts";
export type { ConfiguredKey } from "../serving/configured-keys.ts";
export type { ClientAddress } from "./http/client-address.ts";
export type { DeviceBudget, DeviceBudgets } from "./http/device-budgets.ts";
export { listen, type ListenedServer, type Listening, type ListenOptions } from "./listen.ts";
export type { Rates } from "../serving/rate-limits.ts";
export type { StreamLimits } from "./http/open-streams.ts";
export type { Approve, Converse } from "../serving/converse.ts";
