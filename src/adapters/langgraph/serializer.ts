/** Values as bytes, with all that the saver and the cache keep of them. */
import { encodeValue } from "../../index.ts";
import { decode } from "../../domain/values/codec.ts";
import type { Serializer } from "./package-checkpoint.ts";
import { fromStored, toStored } from "./stored-values.ts";

export const serializer: Serializer = {
  dumpsTyped: async (value) => ["json", new TextEncoder().encode(encodeValue(toStored(value, "value")))],
  loadsTyped: async (_, data) =>
    await fromStored(decode(typeof data === "string" ? data : new TextDecoder().decode(data))),
};
