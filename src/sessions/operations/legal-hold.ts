/** Puts a session under legal hold, and ends the hold. */
import { clearLegalHold, setLegalHold } from "../../domain/record/retention.ts";
import { guardNoneReplaced } from "../../domain/turns/replaced-turns.ts";
import type { Handle } from "../handle/handle.ts";
import { parseReason } from "../options/arguments.ts";

/** @throws SessionError `argument_invalid`, `turn_open` */
export async function setLegalHoldOn(handle: Handle, reason: string): Promise<void> {
  const parsed = parseReason(reason, handle.core.options.limits.noteLengthMax);
  await handle.operate("setLegalHold", () =>
    handle.write(
      (draft, context) => {
        guardNoneReplaced(draft.record);
        return setLegalHold(draft, parsed, context);
      },
      { recovers: "dead" },
    ),
  );
}

/** False if there is no legal hold. */
export async function clearLegalHoldOn(handle: Handle): Promise<boolean> {
  await handle.peek();
  const written = await handle.write(({ record }, context) => clearLegalHold(record, context));
  return written.status === "ok";
}
