import { createHash, randomBytes } from "node:crypto";

/** A token opens the studio within this time, ms. */
const tokenMs = 10 * 60_000;
const tokensMax = 100;

/** Tokens that are exchanged once for a key. The newest ones are kept, each for ten minutes. */
export class OneTimeTokens {
  /** By the hash of the token. */
  readonly #keys = new Map<string, { readonly key: string; readonly endsAt: number }>();

  /** Makes a token for this key. */
  issue(key: string): string {
    const [oldest] = this.#keys.keys();
    if (this.#keys.size >= tokensMax && oldest !== undefined) this.#keys.delete(oldest);
    const token = randomBytes(24).toString("base64url");
    this.#keys.set(hashOf(token), { key, endsAt: performance.now() + tokenMs });
    return token;
  }

  /** The key of a token, once; undefined for a token that is unknown, used or expired. */
  exchange(token: string): string | undefined {
    const hash = hashOf(token);
    const found = this.#keys.get(hash);
    this.#keys.delete(hash);
    return found === undefined || found.endsAt < performance.now() ? undefined : found.key;
  }
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
