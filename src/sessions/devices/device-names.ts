/**
 * The names of devices and users in a store whose secret was replaced. A device keeps the name that it had under an earlier
 * secret, because its sessions and references are named by it. A record under its new name leads there: it is written when the
 * device opens its session, and the earlier secret is not needed for this device from then on.
 */
import { changeOf, draftOf, set, type Change } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { internalScope } from "../../domain/values/internal-scope.ts";
import type { Core } from "../core/core.ts";
import { internalChange, liveMetadata } from "../core/internal-record.ts";
import { recordPages } from "../core/record-pages.ts";
import { currentSecretId, internalKey, pointerTtlMs, renamedTo, secretOfPointer } from "./device-pointer.ts";
import { guardSecret } from "./secret-check.ts";

/** The name in the store of each device or user; `candidates`: its names under each secret, the current one first. */
export async function knownNames(
  core: Core,
  tenant: string,
  candidates: readonly (readonly string[])[],
): Promise<readonly string[]> {
  const { rotated } = await guardSecret(core);
  if (!rotated) return candidates.map(([current = ""]) => current);
  const keys = candidates.flat().flatMap((name) => [internalKey(tenant, name), { tenant, id: name }]);
  const found = (await core.findAll(keys)).values();
  return candidates.map((names) => {
    const known = names.map((name) => {
      const [pointer, session] = [found.next().value, found.next().value];
      if (liveMetadata(core, pointer) === undefined) return session === undefined ? undefined : name;
      return renamedTo(pointer) ?? name;
    });
    return known.find((name) => name !== undefined) ?? names[0] ?? "";
  });
}

export async function knownName(core: Core, tenant: string, names: readonly string[]): Promise<string> {
  const [name = ""] = await knownNames(core, tenant, [names]);
  return name;
}

/** Makes a device or a user that is `known` by an earlier name known under the current secret, too. */
export async function keepName(
  core: Core,
  tenant: string,
  [current = ""]: readonly string[],
  known: string,
): Promise<void> {
  if (known === current || core.isFallback) return;
  const key = internalKey(tenant, current);
  const [found, pointer] = await core.findAll([key, internalKey(tenant, known)]);
  const isLive = liveMetadata(core, found) !== undefined;
  // A concurrent program has given the device a session under its new name.
  if (isLive && renamedTo(found) === undefined) return;
  const isKept = isLive && (found?.expiresAt ?? 0) - core.now() > pointerTtlMs / 2;
  const isNoted = pointer === undefined || secretOfPointer(pointer) === currentSecretId(core);
  if (isKept && isNoted) return;
  const metadata = { kind: "renamed", name: known };
  const renamed = internalChange(core, key, found, { user: known, metadata, ttlMs: pointerTtlMs });
  // After a conflict the next opening tries again.
  await core.commit([renamed, ...(isNoted ? [] : [noted(core, pointer)])]);
}

function noted(core: Core, pointer: SessionRecord): Change {
  const draft = draftOf(pointer);
  set(draft, { metadata: { ...pointer.metadata, secret: currentSecretId(core) ?? "" } });
  return changeOf(draft);
}

/** The records by which a device or a user of this name is known under newer secrets. */
export async function newerNames(core: Core, tenant: string, known: string): Promise<readonly SessionRecord[]> {
  const { rotated } = await guardSecret(core);
  const all: SessionRecord[] = [];
  if (!rotated) return all;
  for await (const page of recordPages(core, internalScope(tenant, "devices"), known)) all.push(...page);
  return all;
}
