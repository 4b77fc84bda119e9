/**
 * The HTTP server.
 *
 * @module perdure/server
 */
export { createServer, type LogEntry, type Server, type ServerOptions } from "./app.ts";
export type { ClientAddress } from "./http/client-address.ts";
export type { DeviceBudget, DeviceBudgets } from "./http/device-budgets.ts";
export { listen, type Listening, type ListenOptions } from "./listen.ts";
export type { Rates } from "./http/rate-limits.ts";
export type { StreamLimits } from "./http/open-streams.ts";
export type { Converse } from "./http/server-context.ts";
