import type { Metadata } from "../../domain/record/record.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";

/** @throws SessionError `argument_invalid` for what is no plain object; what is in it, the codec judges */
export function parseMetadata(metadata: Metadata): Metadata {
  if (typeof metadata === "object" && metadata !== null && !Array.isArray(metadata)) return metadata;
  throw new SessionError("argument_invalid", {
    name: "metadata",
    value: formatValue(metadata),
    expected: "a plain object",
  });
}
