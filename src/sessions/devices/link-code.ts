/**
 * One-time codes by which a device lets another one share its session. A code has a handle, which finds it, and a secret, of
 * which the store has a keyed hash.
 *
 * States of a code:
 * - valid, for ten minutes. Exits: it is redeemed; the next code of the device replaces it; five wrong attempts; its time is up.
 * - deleted: a caller cannot see by which exit.
 */
import { appendDeviceLinked } from "../../domain/record/device-claim.ts";
import { headOf, type Change } from "../../domain/record/change.ts";
import { codeLetters, parseLinkCode } from "../../domain/values/device.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { isInternalScope } from "../../domain/values/internal-scope.ts";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { internalKey, pointerChange, type Pointer } from "./device-pointer.ts";
import { deviceMarks } from "./device-traces.ts";
import { isSameHash, keyedHash, keyedHashes, keyedNames } from "../core/keyed-hash.ts";
import { ownSession, findRoutes, type DeviceRoute } from "./device-route.ts";
import { internalChange, liveMetadata } from "../core/internal-record.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";

/** A code as a person types it into another device. */
export interface LinkCode {
  /** Eight letters and digits with a hyphen in the middle, such as `7KQM-2XRT`; case and hyphen do not matter. */
  readonly code: string;
  readonly expiresAt: Date;
}

const ttlMs = 10 * 60_000;
const triesMax = 5;
/** Handles of a device; it takes the first one that no other device's code has. */
const handlesMax = 16;
const attemptsMax = 100;

/** The metadata of a code's record. */
type Content = { readonly device: string; readonly secret: string; readonly tries: number };

/** A new code of the device. It replaces the last one. */
export async function makeLinkCode(core: Core, tenant: string, device: string): Promise<LinkCode> {
  const secret = codeLetters(core.options.clock.random(16));
  let index = 0;
  return await retryOnConflict({ sessionId: device, tenant, attemptsMax }, async () => {
    // A device always has the same handles, so it cannot have many codes.
    const handle = codeLetters(keyedHash(core, tenant, "code-handle", `${device} ${index}`));
    const [key] = codeKeys(core, tenant, handle);
    const [hash] = secretHashes(core, tenant, handle, secret);
    if (key === undefined || hash === undefined) throw new Error("there is a secret");
    const found = (await core.find(key))?.record;
    const content = contentOf(core, found);
    if (content !== undefined && content.device !== device) {
      index = (index + 1) % handlesMax;
      return undefined;
    }
    const made: Content = { device, secret: hash.toString("hex"), tries: 0 };
    const change = internalChange(core, key, found, { metadata: made, ttlMs });
    const { status } = await core.commit([change]);
    if (status !== "ok") return undefined;
    return { code: `${handle}-${secret}`, expiresAt: new Date(change.record?.expiresAt ?? Number.NaN) };
  });
}

/** Redeem a code: the device then shares the session of the device that made the code. @throws SessionError `link_code_invalid` */
export async function redeemLinkCode(core: Core, tenant: string, device: string, code: string): Promise<void> {
  const invalid = new SessionError("link_code_invalid", { tenant });
  const typed = parseLinkCode(code);
  if (typed === null) throw invalid;
  const keys = codeKeys(core, tenant, typed.handle);
  const hashes = secretHashes(core, tenant, typed.handle, typed.secret);
  await retryOnConflict({ sessionId: device, tenant, attemptsMax }, async () => {
    const all = await core.findAll(keys);
    // A code that was made before the secret was replaced is under an earlier one.
    const place = Math.max(
      0,
      all.findIndex((record) => contentOf(core, record) !== undefined),
    );
    const [key, offered, found] = [keys[place], hashes[place], all[place]];
    const content = contentOf(core, found);
    if (key === undefined || offered === undefined || found === undefined) throw invalid;
    if (content === undefined || content.device === device) throw invalid;
    if (!isSameHash(Buffer.from(content.secret, "hex"), offered)) {
      const miss = missed(core, key, found, content);
      if ((await core.commit([miss])).status === "ok") throw invalid;
      return undefined;
    }
    const [theirs, ours] = await findRoutes(core, tenant, [content.device, device]);
    if (theirs === undefined || ours === undefined) throw new Error("each name has a route");
    const user = theirs.user === null ? {} : { user: theirs.user };
    const marks = await deviceMarks(core, tenant, ours, user);
    const changes = [removeSession(found), ...linked(core, tenant, theirs, ours), ...marks];
    return (await core.commit(changes)).status === "ok" ? true : undefined;
  });
}

/** The records of the codes of these devices. */
export async function linkCodesOf(
  core: Core,
  tenant: string,
  devices: readonly string[],
): Promise<readonly SessionRecord[]> {
  const codes: SessionRecord[] = [];
  for (const device of devices) {
    const handles = Array.from({ length: handlesMax }, (_, index) =>
      keyedHashes(core, tenant, "code-handle", `${device} ${index}`).map(codeLetters),
    );
    const keys = [...new Set(handles.flat())].flatMap((handle) => codeKeys(core, tenant, handle));
    const found = await core.findAll(keys);
    codes.push(
      ...found.filter((record) => record !== undefined).filter(({ metadata }) => metadata["device"] === device),
    );
  }
  return codes;
}

/** Count a wrong attempt. */
function missed(core: Core, key: SessionKey, found: SessionRecord, content: Content): Change {
  const tries = content.tries + 1;
  if (tries >= triesMax) return removeSession(found);
  const leftMs = Math.max(1, found.expiresAt - core.now());
  return internalChange(core, key, found, { metadata: { ...content, tries }, ttlMs: leftMs });
}

/** Link the second device to the user of the first one, or let it share the first one's session if it has no user. */
function linked(core: Core, tenant: string, theirs: DeviceRoute, ours: DeviceRoute): readonly Change[] {
  const session = ownSession(core, theirs);
  const since = defined({
    born: session?.createdAt,
    from: session === undefined ? undefined : headOf(session, "turns") + 1,
  });
  const pointer: Pointer =
    theirs.user === null ? { kind: "linked", session: theirs.session, ...since } : { kind: "user", user: theirs.user };
  return [
    pointerChange(core, internalKey(tenant, ours.name), ours.found, pointer),
    ...(session === undefined ? [] : [appendDeviceLinked(session, core.context())]),
  ];
}

/** The keys under each secret, the current one first. */
function codeKeys(core: Core, tenant: string, handle: string): readonly SessionKey[] {
  return keyedNames(core, tenant, "code", handle).map((name) => internalKey(tenant, `code_${name}`));
}

/** True for the record of a code. Copies of a store leave it out: it is valid once and for minutes, in its own store. */
export function isLinkCode({ tenant, id }: SessionKey): boolean {
  return isInternalScope(tenant) && id.startsWith("code_");
}

/** The hashes under each secret, the current one first. */
function secretHashes(core: Core, tenant: string, handle: string, secret: string): readonly Buffer[] {
  return keyedHashes(core, tenant, "code-secret", `${handle} ${secret}`);
}

function contentOf(core: Core, found: SessionRecord | undefined): Content | undefined {
  return liveMetadata(core, found) as Content | undefined;
}
