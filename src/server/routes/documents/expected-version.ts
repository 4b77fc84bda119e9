/** The version that a write of a document expects, as the headers of a request name it. */
import { formatValue } from "../../../domain/values/format-value.ts";
import { SessionError } from "../../../errors.ts";
import { parseVersion } from "../../../protocol/wire-documents.ts";
import type { RequestContext } from "../../http/route.ts";

/**
 * The version of `If-Match`; `absent` for `If-None-Match: *`.
 * @throws SessionError `request_invalid`, also for both headers
 */
export function expectedVersion(c: RequestContext): { readonly if?: number | "absent" } {
  const none = c.req.header("if-none-match");
  if (none === undefined) return storedVersion(c);
  if (none.trim() !== "*")
    throw new SessionError("request_invalid", {
      path: "header if-none-match",
      value: formatValue(none),
      expected: "one_of",
      known: ["*"],
    });
  if (c.req.header("if-match") !== undefined)
    throw new SessionError("request_invalid", {
      path: "header if-none-match",
      expected: "beside",
      known: ["If-Match"],
    });
  return { if: "absent" };
}

/** The version of `If-Match`. @throws SessionError `request_invalid` */
export function storedVersion(c: RequestContext): { readonly if?: number } {
  const tag = c.req.header("if-match");
  if (tag === undefined) return {};
  const version = parseVersion(tag);
  if (version !== null) return { if: version };
  throw new SessionError("request_invalid", { path: "header if-match", value: formatValue(tag), expected: "etag" });
}
