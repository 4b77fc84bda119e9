/** How devices come to their sessions: one that has none yet counts with all that are new, whatever id it shows. */
import { hasCode } from "../../errors.ts";
import type { Session, Sessions } from "../../index.ts";
import { shownDevice } from "./authority.ts";
import { addressOf, type ClientAddress } from "./client-address.ts";
import type { RateLimits } from "./rate-limits.ts";
import type { RequestContext } from "./route.ts";
import type { Shared } from "./server-context.ts";

/** So many devices are remembered to have a session: for the others, it is looked up before it is opened. */
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
    // One that showed no id was counted at the door.
    else if (shownDevice(c, sessions) !== null) countNew(c);
    return session;
  }

  async function openDevice(c: RequestContext, device: string): Promise<Session> {
    if (!remembered.has(device)) {
      try {
        await findDevice(c, device);
      } catch (error) {
        // The fallback cannot tell; opening says whether there is one.
        if (!hasCode(error, "store_unavailable")) throw error;
        countNew(c);
      }
    }
    const session = await sessions.device(device);
    remember(device);
    return session;
  }

  return { openDevice, findDevice, countNew };
}
