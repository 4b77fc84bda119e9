import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { randomBytes, randomUUID } from "node:crypto";
import { hasCode, SessionError, type Sessions } from "../../index.ts";
import { withFileErrors } from "../../files/durable-file.ts";
import { checkOf, secretId } from "../../sessions/core/keyed-hash.ts";
import { storedSecret } from "../../sessions/devices/secret-check.ts";
import { coreOf } from "../../sessions/sessions.ts";
import { guardWritable } from "../../store/sqlite/connection/database-file.ts";
import { openWith, variable } from "./environment.ts";
import { fileOfStore } from "./store-file.ts";

/**
 * Earlier secrets: `PERDURE_SECRET_PREVIOUS`, with commas between several. A text with commas may also be one secret.
 */
export function previousSecrets(): readonly string[] {
  const given = variable("PERDURE_SECRET_PREVIOUS");
  if (given === undefined) return [];
  const parts = given.split(",").map((part) => part.trim());
  return [...new Set(parts.every(({ length }) => length >= 16) ? [...parts, given] : [given])];
}

/**
 * The secret that keys the hashes of devices: `PERDURE_SECRET`, else the content of a file beside the SQLite file. The file
 * is created if it is missing, readable to its owner only. A PostgreSQL store needs the variable.
 * @throws SessionError `secret_missing`, `argument_invalid` for a wrong URL of SQLite, `store_unavailable` and `store_read_only` if
 *   there can be no file
 */
export async function serverSecret(storeUrl: string): Promise<string> {
  const found = await existingSecret(storeUrl);
  if (found !== undefined) return found;
  const file = await fileOfStore(storeUrl);
  if (file !== undefined) {
    guardWritable(file);
    // The devices of a restored store are known under the secret of the first one: another secret would only be refused.
    try {
      await guardUnknownSecret(storeUrl, file);
    } catch (error) {
      // A process that started at the same moment made the secret, and then the store, after the look for a secret above.
      const made = hasCode(error, "secret_mismatch") ? await existingSecret(storeUrl) : undefined;
      if (made === undefined) throw error;
      return made;
    }
    return await withFileErrors(`${file}.secret`, async () => await Promise.resolve(madeSecret(`${file}.secret`)));
  }
  if (/^(memory|sqlite):/i.test(storeUrl)) return newSecret();
  throw new SessionError("secret_missing", { name: "devices" });
}

/** As {@link serverSecret}, but no file is created; undefined if there is no secret. */
export async function existingSecret(storeUrl: string): Promise<string | undefined> {
  const given = variable("PERDURE_SECRET");
  if (given !== undefined) return given;
  const file = await fileOfStore(storeUrl);
  return file !== undefined && existsSync(`${file}.secret`) ? secretIn(`${file}.secret`) : undefined;
}

/** @throws SessionError `secret_mismatch` if the store exists and was written under a secret */
async function guardUnknownSecret(storeUrl: string, file: string): Promise<void> {
  if (!existsSync(file) || statSync(file).size === 0) return;
  try {
    // A new secret is not the one of the store; one that may only read does not set it.
    await (await openWith("examine", { store: storeUrl }, { secret: newSecret() })).close();
  } catch (error) {
    // A store of an older schema was written before stores knew their secret.
    if (!hasCode(error, "store_invalid") || error.details.problem !== "schema_incomplete") throw error;
  }
}

/** A sentence on the secret that belongs to the devices of a store, if programs would not use it; undefined if all is well. */
export async function secretAdvice(sessions: Sessions, storeUrl: string): Promise<string | undefined> {
  const { check } = await storedSecret(coreOf(sessions));
  if (check === undefined) return undefined;
  const found = await existingSecret(storeUrl);
  const file = await fileOfStore(storeUrl);
  const place = file === undefined ? "PERDURE_SECRET" : `PERDURE_SECRET or ${file}.secret`;
  if (found === undefined)
    return `the devices of this store need the secret under which they were written: put it into ${place}`;
  if ([found, ...previousSecrets()].some((secret) => checkOf(secret) === check)) return undefined;
  return `the secret in ${place} is not the one of the devices of this store`;
}

/** The next step about the secret of devices that came from another store; undefined if programs already have it. */
export function otherSecretAdvice(id: string | undefined): string | undefined {
  if (id === undefined || previousSecrets().some((secret) => secretId(checkOf(secret)) === id)) return undefined;
  return `devices that were restored are known under another secret than the one of this store: it is the PERDURE_SECRET, or the file ending in .secret, of the store that they come from (its check value begins with ${id}); add it to PERDURE_SECRET_PREVIOUS of the programs on this store, or these devices get new sessions`;
}

/** The place of the secret of a store; undefined if it has none. */
export async function placeOfSecret(storeUrl: string): Promise<string | undefined> {
  if (variable("PERDURE_SECRET") !== undefined) return "PERDURE_SECRET";
  const file = await fileOfStore(storeUrl);
  return file !== undefined && existsSync(`${file}.secret`) ? `${file}.secret` : undefined;
}

export function newSecret(): string {
  return randomBytes(32).toString("base64url");
}

function madeSecret(path: string): string {
  makeSecret(path);
  return secretIn(path);
}

function secretIn(path: string): string {
  return readFileSync(path, "utf8").trim();
}

/** Creates the file in one step: a process that starts meanwhile, or after a crash, never reads an empty secret. */
function makeSecret(path: string): void {
  const draft = `${path}.${randomUUID()}`;
  try {
    const descriptor = openSync(draft, "wx", 0o600);
    writeSync(descriptor, `${newSecret()}\n`);
    fsyncSync(descriptor);
    closeSync(descriptor);
    linkSync(draft, path);
  } catch (error) {
    // Another process created the file first; its secret is used.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** As {@link serverSecret}; undefined for a PostgreSQL store without PERDURE_SECRET: hosts and MCP servers need no devices. */
export async function secretIfSet(store: string): Promise<string | undefined> {
  try {
    return await serverSecret(store);
  } catch (error) {
    if (hasCode(error, "secret_missing")) return undefined;
    throw error;
  }
}
