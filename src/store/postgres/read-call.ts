import type { SessionKey } from "../../domain/record/entry.ts";
import type { LogRange } from "../store.ts";

/** The call of a function of the schema that returns the entries of a range. */
export function readCall(
  schema: string,
  { tenant, id }: SessionKey,
  range: LogRange,
): { readonly text: string; readonly values: readonly unknown[] } {
  const ofLog = [tenant, id, range.log];
  const call = (name: string, values: readonly unknown[]): ReturnType<typeof readCall> => {
    const places = values.map((_, index) => `$${index + 1}`).join(", ");
    return { text: `select seq, key, at, data from ${schema}.${name}(${places})`, values };
  };
  if ("keys" in range) return call("read_keys", [...ofLog, JSON.stringify([...new Set(range.keys)])]);
  const { order, limit, bytesMax = null } = range;
  const bounds = [order === "descending", limit, bytesMax];
  return "between" in range
    ? call("read_by_key", [...ofLog, ...range.between, ...bounds])
    : call("read_by_seq", [...ofLog, range.from, range.to, ...bounds]);
}
