import { closeSync, existsSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { randomBytes, randomUUID } from "node:crypto";
import { SessionError } from "../../index.ts";
import { variable } from "./environment.ts";
import { fileOfStore } from "./store-file.ts";

/**
 * The secret that keys the hashes of devices: `PERDURE_SECRET`, else the content of a file beside the SQLite file. The file
 * is created if it is missing, readable to its owner only. A PostgreSQL store needs the variable.
 * @throws SessionError `secret_missing`, `argument_invalid` for a wrong URL of SQLite
 */
export async function serverSecret(storeUrl: string): Promise<string> {
  const found = await existingSecret(storeUrl);
  if (found !== undefined) return found;
  const file = await fileOfStore(storeUrl);
  if (file !== undefined) return madeSecret(`${file}.secret`);
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
