export { createServer, type LogEntry, type Server, type ServerOptions } from "./app.ts";
export type { ClientAddress } from "./client-address.ts";
export type { DeviceBudget, DeviceBudgets } from "./device-budgets.ts";
export { listen, type Listening, type ListenOptions } from "./listen.ts";
export type { Rates } from "./rate-limits.ts";
export type { StreamLimits } from "./open-streams.ts";
export type { Converse } from "./shared.ts";
