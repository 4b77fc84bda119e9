import type { Change } from "../../domain/record/change.ts";
import { claimSession, supersedeSession } from "../../domain/record/device-claim.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { parseLifetime } from "../../domain/values/duration.ts";
import { SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { Handle } from "../handle/handle.ts";
import { internalKey, pointerChange } from "./device-pointer.ts";
import { ownSession, type DeviceRoute } from "./device-route.ts";

/** A device that is linked to a user. */
interface Claim {
  readonly device: DeviceRoute;
  readonly owner: DeviceRoute;
  readonly user: string;
  readonly keep: "user" | "device" | undefined;
}

/** The changes that link a device to a user, and decide which of their sessions continues. @throws SessionError `claim_undecided` */
export async function claimChanges(
  core: Core,
  tenant: string,
  { device, owner, user, keep }: Claim,
): Promise<readonly Change[]> {
  const pointer = pointerChange(core, internalKey(tenant, device.name), device.found, { kind: "user", user });
  const guests = device.pointer === undefined || device.pointer.kind === "own" ? ownSession(core, device) : undefined;
  const theirs = ownSession(core, owner, user);
  if (guests === undefined) return [pointer];
  if (theirs === undefined) return [pointer, ...movedChanges(core, guests, owner, user)];
  if (keep === undefined && guests.counters.turns > 0 && theirs.counters.turns > 0) {
    const ids = { userSession: theirs.id, deviceSession: guests.id };
    throw new SessionError("claim_undecided", { tenant, ...ids });
  }
  const continuing = keep ?? (theirs.counters.turns > 0 || guests.counters.turns === 0 ? "user" : "device");
  if (continuing === "user") return [pointer, await superseded(core, guests, { by: theirs.id, user })];
  return [pointer, await superseded(core, theirs, { by: guests.id, user }), ...movedChanges(core, guests, owner, user)];
}

/** Assign the session to the user, and point the user's pointer to it. */
function movedChanges(core: Core, session: SessionRecord, owner: DeviceRoute, user: string): readonly Change[] {
  const ttl = core.options.ttlOfUser(user);
  const ttlMs = ttl === undefined ? session.ttlMs : parseLifetime(ttl, "ttlOfUser");
  return [
    claimSession(session, { user, ttlMs }, core.context()),
    pointerChange(core, internalKey(session.tenant, owner.name), owner.found, { kind: "own", session: session.id }),
  ];
}

async function superseded(
  core: Core,
  session: SessionRecord,
  how: { readonly by: string; readonly user: string },
): Promise<Change> {
  const handle = new Handle(core, session);
  await handle.recoverAbandoned();
  const change = supersedeSession(handle.record, how, core.context());
  if (change === null) throw new Error("a live session can be ended");
  return change;
}
