import { isUuid } from "../domain/values/device.ts";
import { SessionError } from "../errors.ts";
import type { Sessions } from "../index.ts";
import { bearerToken, guardRight } from "../serving/bearer.ts";
import { keyOf, shownDevice } from "./http/authority.ts";
import type { KeyRing } from "../serving/configured-keys.ts";
import type { OpenStreams } from "./http/open-streams.ts";
import type { RateLimits } from "../serving/rate-limits.ts";
import type { RequestContext, Scope } from "./http/route.ts";

/** The parts of a server that count its callers. */
export interface Counting {
  readonly sessions: Sessions;
  readonly keys: KeyRing;
  readonly limits: RateLimits;
  readonly streams: OpenStreams;
  /** Counts a caller as a new device. */
  readonly countNew: (c: RequestContext) => void;
}

/**
 * Admits the callers of a scope: anyone, a device, the reader of a share, or a key with the right. It counts them against the rate limits, and
 * sets how their streams are counted.
 * @throws SessionError `key_missing`, `key_expired`, `key_forbidden`, `rate_limited`, `id_invalid`, `share_not_found`
 */
export async function admit(
  c: RequestContext,
  scope: Scope,
  { sessions, keys, limits, streams, countNew }: Counting,
): Promise<void> {
  if (scope === "open") return;
  if (scope === "device") {
    const device = shownDevice(c, sessions);
    c.set("countStream", () => streams.open({ device: device ?? undefined, session: sessionIn(c, sessions.tenant) }));
    if (device !== null && !isUuid(device)) await admitChannel(c, { sessions, keys, limits });
    if (device === null) countNew(c);
    else limits.count("device", device);
    return;
  }
  if (scope === "share") {
    const shared = await sessions.openShare(bearerToken(c.req.header("authorization")) ?? "");
    const caller = `share ${shared.id}`;
    limits.count("key", caller);
    c.set("shared", shared);
    c.set("countStream", () => streams.open({ key: caller, session: caller }));
    return;
  }
  const key = await keyOf(c, keys);
  limits.count("key", key.id);
  guardRight(key, scope);
  c.set("key", key);
  c.set("sessions", sessions.for(key.tenant));
  c.set("countStream", () => streams.open({ key: key.id, session: sessionIn(c, key.tenant) }));
}

/**
 * A client may guess the id that a channel gave another one, so such an id counts only beside the key of the program that
 * serves the channel.
 * @throws SessionError `key_missing`, `key_expired`, `key_forbidden`, `rate_limited`
 */
async function admitChannel(
  c: RequestContext,
  { sessions, keys, limits }: Pick<Counting, "sessions" | "keys" | "limits">,
): Promise<void> {
  const key = await keyOf(c, keys);
  limits.count("key", key.id);
  guardRight(key, "write");
  if (key.tenant !== sessions.tenant)
    throw new SessionError("key_forbidden", { right: key.right, needed: "write", tenantOf: "server" });
  c.set("key", key);
}

/** The session of a request, qualified by its tenant. */
function sessionIn(c: RequestContext, tenant: string): string | undefined {
  const session = c.get("session");
  return session === undefined ? undefined : `${tenant} ${session}`;
}
