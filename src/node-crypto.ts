/** Node's own cryptography. It takes Node 4 ms to load, so the first hash loads it, and an import of Perdure does not. */
import type * as Crypto from "node:crypto";

let loaded: typeof Crypto | undefined;

export function nodeCrypto(): typeof Crypto {
  return (loaded ??= process.getBuiltinModule("node:crypto"));
}
