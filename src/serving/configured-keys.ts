/** The keys that a server admits: those of its options, and those of the store. */
import { createHash } from "node:crypto";
import { parseNewId } from "../domain/values/ids.ts";
import { parseArray } from "../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { SessionError } from "../errors.ts";
import type { KeyInfo, KeyRight, Sessions } from "../index.ts";

/** A key in the options of a server: it needs no store. */
export interface ConfiguredKey {
  /** The secret that requests send as bearer token: 32 to 200 visible ASCII characters, made at random. */
  readonly token: string;
  /** Its purpose. @default "configured" */
  readonly name?: string;
  /** The tenant whose sessions it opens. @default that of the server's sessions */
  readonly tenant?: string;
  /** @default "write" */
  readonly right?: KeyRight;
}

const keyNames: OptionNames<ConfiguredKey> = { token: true, name: true, tenant: true, right: true };

/** A key that was verified. */
export type AdmittedKey = Pick<KeyInfo, "id" | "name" | "tenant" | "right">;

const rights: readonly KeyRight[] = ["read", "write", "admin"];
const tokenLength = { min: 32, max: 200 };

export class KeyRing {
  readonly #sessions: Sessions;
  /** By the hash of the token: a search by the token itself would take longer the more of it is right. */
  readonly #configured = new Map<string, AdmittedKey>();

  /** @throws SessionError `argument_invalid`, `id_invalid` */
  constructor(sessions: Sessions, keys: readonly ConfiguredKey[]) {
    this.#sessions = sessions;
    for (const [index, configured] of parseArray(keys, "keys").entries()) {
      const at = `keys[${index}]`;
      guardNames(configured, at, keyNames);
      const { token, name = "configured", tenant = sessions.tenant, right = "write" } = configured;
      if (!/^[!-~]{32,200}$/.test(token))
        throw new SessionError("argument_invalid", { name: `${at}.token`, expected: "key_token", ...tokenLength });
      if (!rights.includes(right))
        throw new SessionError("argument_invalid", { name: `${at}.right`, expected: "one_of", known: rights });
      const hash = hashOf(token);
      const earlier = [...this.#configured.keys()].indexOf(hash);
      if (earlier !== -1)
        throw new SessionError("argument_invalid", {
          name: `${at}.token`,
          value: `keys[${earlier}].token`,
          expected: "unique",
        });
      const id = `configured_${hash.slice(0, 12)}`;
      const key = { id, name: parseNewId(name, `${at}.name`), tenant: parseNewId(tenant, `${at}.tenant`), right };
      this.#configured.set(hash, key);
    }
  }

  /** The key of this token; null for a text that is none. @throws SessionError `key_expired` */
  async verify(token: string): Promise<AdmittedKey | null> {
    return this.#configured.get(hashOf(token)) ?? (await this.#sessions.keys.verify(token));
  }
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
