/** How the store calls devices and users where it is not to know them: by keyed hashes. */
import type { Core } from "./core.ts";
import { keyedName } from "./keyed-hash.ts";

export function deviceName(core: Core, tenant: string, device: string): string {
  return `device_${keyedName(core, tenant, "device", device)}`;
}

/** True for the name of a device, which is also the id of its first session. */
export function isDeviceName(name: string): boolean {
  return /^device_[0-9a-f]{40}$/.test(name);
}

export function userName(core: Core, tenant: string, user: string): string {
  return `user_${keyedName(core, tenant, "user", user)}`;
}
