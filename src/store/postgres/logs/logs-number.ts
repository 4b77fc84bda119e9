import { randomBytes } from "node:crypto";

/** A number for the logs of a session. It is random, so no other logs of the session ever had it. */
export function newLogs(): string {
  return String(randomBytes(8).readBigUInt64BE() >> 1n);
}
