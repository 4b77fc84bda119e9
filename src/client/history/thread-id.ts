/** The ids of sessions, and keys of messages, for texts of assistant-ui. */
import { parseNewId } from "../../domain/values/ids.ts";
import { hasCode } from "../../errors.ts";

/**
 * A valid id for any text, always the same, and the same as that of the library: the text where it is one, else a hash of it.
 * @throws SessionError `id_invalid` for a text that is no valid id, on a page that has no hashes
 */
export async function idOf(text: string, lengthMax: number = Infinity): Promise<string> {
  if (text.length <= lengthMax && !/^sha256-[\w-]{43}$/.test(text))
    try {
      return parseNewId(text, "id");
    } catch (error) {
      if (!hasCode(error, "id_invalid") || globalThis.crypto?.subtle === undefined) throw error;
    }
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(text))));
  const base64 = btoa(String.fromCharCode(...bytes));
  return `sha256-${base64.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`;
}
