/**
 * Opens the sessions of devices. A device without a session counts against the limit of new devices, even if it sends
 * an id.
 */
import { hasCode } from "../../errors.ts";
import type { Session, Sessions } from "../../index.ts";
import { shownDevice } from "./authority.ts";
import { addressOf, type ClientAddress } from "./client-address.ts";
import { defined } from "../../domain/values/defined.ts";
import type { RateLimits } from "../../serving/rate-limits.ts";
import type { RequestContext } from "./route.ts";
import type { Shared } from "./server-context.ts";

/** Number of devices remembered to have a session; any other is looked up before its session is opened. */
const rememberedMax = 10_000;

export function deviceDoors(
  sessions: Sessions,
  limits: RateLimits,
  clientAddress: ClientAddress | undefined,
): Pick<Shared, "openDevice" | "findDevice"> & { readonly countNew: (c: RequestContext) => void } {
  const remembered = new Set<string>();

  function remember(device: string): void {
    const [oldest] = remembered;
    if (remembered.size >= rememberedMax && oldest !== undefined) remembered.delete(oldest);
    remembered.add(device);
  }

  function countNew(c: RequestContext): void {
    const address = addressOf(c, clientAddress);
    if (address !== undefined) limits.count("newDevicesOfAddress", address);
    limits.count("newDevices", "all");
  }

  async function findDevice(c: RequestContext, device: string): Promise<Session | undefined> {
    const session = await sessions.devices.find(device);
    if (session !== undefined) remember(device);
    // A request without an id was counted on admission.
    // The key of a channel vouches for its devices.
    else if (shownDevice(c, sessions) !== null && !hasKey(c)) countNew(c);
    return session;
  }

  async function openDevice(c: RequestContext, device: string, agent?: string): Promise<Session> {
    if (!remembered.has(device)) {
      try {
        if ((await findDevice(c, device)) === undefined && !hasKey(c)) limits.count("newDeviceSessions", "all");
      } catch (error) {
        // The fallback cannot look it up; opening finds the session.
        if (!hasCode(error, "store_unavailable")) throw error;
        if (!hasKey(c)) {
          countNew(c);
          limits.count("newDeviceSessions", "all");
        }
      }
    }
    const session = await sessions.devices.open(device, defined({ agent }));
    remember(device);
    return session;
  }

  return { openDevice, findDevice, countNew };
}

function hasKey(c: RequestContext): boolean {
  return (c.get("key") as unknown) !== undefined;
}
