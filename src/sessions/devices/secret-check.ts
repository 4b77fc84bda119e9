/**
 * The check value of the secret: an HMAC of a constant, in a record of the store. It detects a wrong secret, under which no device
 * would be found, from the right one. States of the record:
 * - missing: no program with a secret has written to the store. Exit: the first one writes the check value of its secret.
 * - set: a program with the same secret continues. Exits: a program with another secret that has this one among its previous secrets
 *   replaces it; `perdure secret reset` opens it.
 * - open: as missing, but the store may have devices that are named by hashes under earlier secrets.
 */
import type { SessionKey } from "../../domain/record/entry.ts";
import type { Metadata, SessionRecord } from "../../domain/record/record.ts";
import { internalScope } from "../../domain/values/internal-scope.ts";
import { eachPage } from "../../domain/values/pages.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { internalChange, liveMetadata } from "../core/internal-record.ts";
import { checkOf, secretId, secretsOf } from "../core/keyed-hash.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { isDevicesScope, pointerOf } from "./device-pointer.ts";
import { defined } from "../../domain/values/defined.ts";

/** The secrets of the store, as check values. */
export interface SecretState {
  /** Undefined: missing or open. */
  readonly check?: string;
  /** The id of the first secret of the store: that of pointers which name none. */
  readonly first?: string;
  /** The secret was replaced: pointers may have names under earlier secrets. */
  readonly rotated: boolean;
}

const key: SessionKey = { tenant: internalScope("", "secret"), id: "check" };
/** As long as a key of an operator. */
const ttlMs = 100 * 365 * 86_400_000;
const attemptsMax = 50;
/** Pages of the search for sessions of devices. */
const pagesMax = 100;
const pageSize = 500;

/** True for the record of the check value. A copy does not replace it. */
export function isSecretCheck({ tenant, id }: SessionKey): boolean {
  return tenant === key.tenant && id === key.id;
}

/** The scope of the check value, for a copy of one tenant. */
export const secretScope: string = key.tenant;

const states = new WeakMap<Core, Promise<SecretState>>();

/**
 * Compares the secret with that of the store, once in a process; the first secret is stored. A store that is away is asked again
 * by the next call.
 * @throws SessionError `secret_mismatch`
 */
export async function guardSecret(core: Core): Promise<SecretState> {
  const secrets = core.isFallback ? [] : secretsOf(core);
  if (secrets.length === 0) return { rotated: false };
  const asked = states.get(core) ?? settle(core, secrets);
  states.set(core, asked);
  try {
    return await asked;
  } catch (error) {
    // A wrong secret stays wrong, and the sessions that it would lose are counted once.
    if (!hasCode(error, "secret_mismatch")) states.delete(core);
    if (hasCode(error, "store_unavailable")) return { rotated: secrets.length > 1 };
    throw error;
  }
}

/**
 * Takes over devices of another store, with the check value in its record. Returns the id of their secret if it is not the one
 * of this store: programs then look for devices under their previous secrets, too. Undefined for the same secret.
 */
export async function takeSecretOf(core: Core, metadata: Metadata): Promise<string | undefined> {
  const { check } = metadata;
  if (typeof check !== "string") return undefined;
  const { id } = await retryOnConflict({ sessionId: key.id, tenant: key.tenant, attemptsMax }, async () => {
    const found = (await core.find(key))?.record;
    const state = stateOf(core, found);
    if (state.check === check) return { id: undefined };
    const other = { id: secretId(check) };
    if (state.rotated) return other;
    const next = { ...state, rotated: true };
    const { status } = await core.commit([internalChange(core, key, found, { metadata: next, ttlMs })]);
    return status === "ok" ? other : undefined;
  });
  return id;
}

/** The secrets of the store, as check values. Nothing is written. */
export async function storedSecret(core: Core): Promise<SecretState> {
  return stateOf(core, (await core.find(key))?.record);
}

/** Lets the next program that has a secret set the check value; returns how many sessions of devices may be lost. */
export async function resetSecret(core: Core): Promise<number> {
  return await retryOnConflict({ sessionId: key.id, tenant: key.tenant, attemptsMax }, async () => {
    const found = (await core.find(key))?.record;
    const { first } = stateOf(core, found);
    const metadata = defined({ rotated: true, first });
    const { status } = await core.commit([internalChange(core, key, found, { metadata, ttlMs })]);
    return status === "ok" ? (await lostSessions(core)).sessions : undefined;
  });
}

async function settle(core: Core, secrets: readonly string[]): Promise<SecretState> {
  const [check = "", ...previous] = secrets.map(checkOf);
  return await retryOnConflict({ sessionId: key.id, tenant: key.tenant, attemptsMax }, async () => {
    const found = (await core.find(key))?.record;
    const state = stateOf(core, found);
    if (state.check === check) return state;
    if (state.check !== undefined && !previous.includes(state.check)) {
      throw new SessionError("secret_mismatch", await lostSessions(core));
    }
    const oldest = previous.at(-1) ?? check;
    const next = {
      check,
      first: state.first ?? secretId(oldest),
      // Two programs may know each other's secret as a previous one: then both look under both.
      rotated: state.rotated || state.check !== undefined || previous.length > 0,
    };
    return await written(core, found, next);
  });
}

/** Undefined if another program wrote first. A store that cannot be written keeps what it has. */
async function written(
  core: Core,
  found: SessionRecord | undefined,
  next: SecretState & { readonly check: string; readonly first: string },
): Promise<SecretState | undefined> {
  try {
    const { status } = await core.commit([internalChange(core, key, found, { metadata: { ...next }, ttlMs })]);
    return status === "ok" ? next : undefined;
  } catch (error) {
    if (hasCode(error, "store_read_only") || hasCode(error, "store_full")) return next;
    throw error;
  }
}

function stateOf(core: Core, found: SessionRecord | undefined): SecretState {
  return (liveMetadata(core, found) as SecretState | undefined) ?? { rotated: false };
}

/** The sessions that devices and users reach by their hashes, of all tenants; `more`: not all were counted. */
async function lostSessions(core: Core): Promise<{ readonly sessions: number; readonly more: boolean }> {
  let [sessions, pages] = [0, 0];
  const query = { order: "key", now: core.now(), limit: pageSize } as const;
  for await (const { records } of eachPage((after) => core.store.find({ ...query, ...after }))) {
    for (const record of records) {
      if (isDevicesScope(record.tenant) && pointerOf(core, record)?.kind === "own") sessions++;
    }
    if (++pages >= pagesMax) return { sessions, more: true };
  }
  return { sessions, more: false };
}
