/** Bodies as they travel: JSON, with what it has no word for (dates, bytes, bigints, -0) as the codec of the store tags it. */
export { decode as fromJson, encode as toJson } from "../domain/values/codec.ts";
