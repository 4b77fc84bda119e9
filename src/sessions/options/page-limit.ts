import { formatValue } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";

/** How many to put on a page. @throws SessionError `argument_invalid` */
export function parseLimit(limit: number, limitMax: number): number {
  if (Number.isSafeInteger(limit) && limit >= 1 && limit <= limitMax) return limit;
  throw new SessionError("argument_invalid", {
    name: "limit",
    value: formatValue(limit),
    expected: `1 to ${limitMax}`,
  });
}
