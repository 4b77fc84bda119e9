/** The requests that a server admits: by their Host and Origin, then by their key. */
import { SessionError } from "../../errors.ts";
import type { Sessions } from "../../index.ts";
import { bearerToken, verified } from "../../serving/bearer.ts";
import type { KeyRing } from "../../serving/configured-keys.ts";
import type { RateLimits } from "../../serving/rate-limits.ts";
import type { PackageMcp } from "./package-mcp.ts";
import type { Caller } from "./tools/tool.ts";

/** Names of the machine itself, as `Host` has them. */
export const loopbackHosts: readonly string[] = ["localhost", "127.0.0.1", "[::1]"];

/** The right of a client that needs no key: every tool can be called. */
export const openRight = "write";

/** The conditions of a server. */
export interface Conditions {
  readonly sdk: PackageMcp;
  readonly sessions: Sessions;
  /** Undefined: no key is needed. */
  readonly keys: KeyRing | undefined;
  readonly hosts: readonly string[];
  readonly limits: RateLimits;
}

/**
 * The caller of a request. A page of another site, also one whose name leads to this machine, is refused before its key is looked
 * at: browsers send such requests on their own.
 * @throws SessionError `request_invalid`, `key_missing`, `key_expired`, `rate_limited`, the store's
 */
export async function admitted(
  request: Request,
  { sdk, sessions, keys, hosts, limits }: Conditions,
): Promise<Omit<Caller, "waitUntil">> {
  const host = request.headers.get("host") ?? new URL(request.url).host;
  const names = [...hosts];
  if (!sdk.validateHostHeader(host, names).ok) throw foreign("host", host, hosts);
  const origin = request.headers.get("origin");
  if (!sdk.validateOriginHeader(origin, names).ok) throw foreign("origin", origin ?? "", hosts);
  if (keys === undefined) return { sessions, right: openRight };
  const key = await verified(bearerToken(request.headers.get("authorization")), keys);
  limits.count("key", key.id);
  return { sessions: sessions.for(key.tenant), right: key.right };
}

function foreign(header: "host" | "origin", value: string, known: readonly string[]): SessionError {
  return new SessionError("request_invalid", {
    path: `header ${header}`,
    value: JSON.stringify(value.slice(0, 100)),
    expected: "one_of",
    known,
  });
}
