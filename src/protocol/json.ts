/** Encodes bodies as JSON; values that JSON lacks (dates, bytes, bigints, -0) are tagged by the store's codec. */
export { decode as fromJson, encode as toJson } from "../domain/values/codec.ts";
