import type { Change } from "../../domain/record/change.ts";
import { claimSession, moveSession, supersedeSession } from "../../domain/record/device-claim.ts";
import { keyText } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { parseLifetime } from "../../domain/values/duration.ts";
import { isSettled, stateAt } from "../../domain/record/states.ts";
import { SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { Handle } from "../handle/handle.ts";
import { internalKey, pointerChange } from "./device-pointer.ts";
import { guestSessions } from "./guest-sessions.ts";
import { ownSession, type DeviceRoute } from "./device-route.ts";

/** A device that is linked to a user. */
interface Claim {
  readonly device: DeviceRoute;
  readonly owner: DeviceRoute;
  readonly user: string;
  readonly keep: "user" | "device" | "both" | undefined;
}

/** The changes that link a device to a user, and decide which of their sessions continues. @throws SessionError `claim_undecided` */
export async function claimChanges(
  core: Core,
  tenant: string,
  { device, owner, user, keep }: Claim,
): Promise<readonly Change[]> {
  const pointer = pointerChange(core, internalKey(tenant, device.name), device.found, { kind: "user", user });
  const current = await currentChanges(core, tenant, { device, owner, user, keep });
  return [pointer, ...current, ...(await otherChanges(core, tenant, { name: device.name, user, current }))];
}

/** The changes that decide which of the current sessions of the device and of the user continues. */
async function currentChanges(
  core: Core,
  tenant: string,
  { device, owner, user, keep }: Claim,
): Promise<readonly Change[]> {
  const guests = device.pointer === undefined || device.pointer.kind === "own" ? ownSession(core, device) : undefined;
  const theirs = ownSession(core, owner, user);
  if (guests === undefined) return [];
  if (theirs === undefined) return movedChanges(core, guests, owner, user);
  // Both stay, and that of the user is the current one.
  if (keep === "both") return [];
  if (keep === undefined && guests.counters.turns > 0 && theirs.counters.turns > 0) {
    const ids = { userSession: theirs.id, deviceSession: guests.id };
    throw new SessionError("claim_undecided", { tenant, ...ids });
  }
  const continuing = keep ?? (theirs.counters.turns > 0 || guests.counters.turns === 0 ? "user" : "device");
  if (continuing === "user") return [await superseded(core, guests, { by: theirs.id, user })];
  return [await superseded(core, theirs, { by: guests.id, user }), ...movedChanges(core, guests, owner, user)];
}

/** Assign the other live sessions of the guest to the user. */
async function otherChanges(
  core: Core,
  tenant: string,
  { name, user, current }: { readonly name: string; readonly user: string; readonly current: readonly Change[] },
): Promise<readonly Change[]> {
  const done = new Set(current.map(({ key }) => keyText(key)));
  const changes: Change[] = [];
  for await (const record of guestSessions(core, tenant, name)) {
    if (done.has(keyText(record)) || isSettled(stateAt(record, core.now()))) continue;
    changes.push(moveSession(record, { user, ttlMs: ttlOf(core, record, user) }, core.context()));
  }
  return changes;
}

/** Assign the session to the user, and point the user's pointer to it. */
function movedChanges(core: Core, session: SessionRecord, owner: DeviceRoute, user: string): readonly Change[] {
  const ttlMs = ttlOf(core, session, user);
  return [
    claimSession(session, { user, ttlMs }, core.context()),
    pointerChange(core, internalKey(session.tenant, owner.name), owner.found, { kind: "own", session: session.id }),
  ];
}

function ttlOf(core: Core, session: SessionRecord, user: string): number {
  const ttl = core.options.ttlOfUser(user);
  return ttl === undefined ? session.ttlMs : parseLifetime(ttl, "ttlOfUser");
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
