import { parseNewId } from "../../domain/values/ids.ts";
import { invalidText } from "../../domain/values/invalid-argument.ts";
import { SessionError } from "../../errors.ts";
import { nodeCrypto } from "../../node-crypto.ts";

const hashed = /^sha256-[\w-]{43}$/;

/**
 * A valid id for any text, always the same: the text itself where it is one, else a hash of it. Different texts have different ids.
 * @throws SessionError `argument_invalid` for another value
 */
export function idFor(text: string): string {
  if (typeof text !== "string") throw invalidText("text", text, {});
  return isId(text)
    ? text
    : `sha256-${nodeCrypto().createHash("sha256").update(JSON.stringify(text)).digest("base64url")}`;
}

/** A text in the form of a hash is hashed as well, so that no other text has its id. */
function isId(text: string): boolean {
  if (hashed.test(text)) return false;
  try {
    parseNewId(text, "text");
    return true;
  } catch (error) {
    if (error instanceof SessionError) return false;
    throw error;
  }
}
