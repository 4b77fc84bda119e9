import { nodeCrypto } from "../../node-crypto.ts";

/** Limits memory if an endpoint never stops: the default limit of a turn. */
export const lengthMax: number = 8 * 1024 * 1024;
/** Minimum size of a call beside its text. */
export const callOverhead = 64;

/** The arguments of a call as JSON text. Some servers send them as an object. */
export function argumentsOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The id of a call, or a new one where it has none or an earlier call has the same. It joins the ids that are taken. */
export function uniqueCallId(id: string, taken: Set<string>): string {
  const own = id === "" || taken.has(id) ? newCallId() : id;
  taken.add(own);
  return own;
}

/** An id that every provider takes: Mistral's endpoint wants 9 letters and digits. */
function newCallId(): string {
  return nodeCrypto()
    .randomBytes(12)
    .toString("base64")
    .replaceAll(/[^a-z0-9]/gi, "0")
    .slice(0, 9);
}
