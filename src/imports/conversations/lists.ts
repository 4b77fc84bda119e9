/** Lists in files of other programs, which may have anything in their place. */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import type { Value } from "../../domain/values/codec.ts";

/** The values of a list; none for anything else. */
export function listOf(value: Value | undefined): readonly Value[] {
  return Array.isArray(value) ? (value as readonly Value[]) : [];
}

/** The objects of a list; none for anything else. */
export function fieldsIn(value: Value | undefined): readonly Fields[] {
  return listOf(value).filter(isFields);
}

/** The texts of a list; none for anything else. */
export function textsOf(value: Value | undefined): readonly string[] {
  return listOf(value).filter((item) => typeof item === "string");
}
