/** Ends a session, at once or with the answer in progress. */
import { endSession } from "../../domain/record/lifecycle.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import type { Handle } from "../handle/handle.ts";
import { interruptions } from "../../errors/answer-problems.ts";
import { parseNote } from "../options/arguments.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";

/** How a session ends. */
export interface EndOptions {
  /** The reason in the event. @default "ended" */
  readonly reason?: string;
  /** `answer`: end with the answer in progress, once it is done. @default at once */
  readonly after?: "answer";
}

const optionNames: OptionNames<EndOptions> = { reason: true, after: true };

/** @throws SessionError as `Session.end` */
export async function endOn(handle: Handle, options: EndOptions): Promise<void> {
  guardNames(options, "options", optionNames);
  const { reason = "ended", after } = options;
  const { core, key } = handle;
  const parsed = parseNote(reason, "reason", core.options.limits.noteLengthMax);
  if (after !== undefined && after !== "answer")
    throw invalidArgument("after", after, { expected: "one_of", known: ["answer"] });
  if (after === "answer" && [...core.turns].some((turn) => turn.isOf(key) && turn.endsSession(parsed))) return;
  await handle.operate("end", () =>
    handle.write((draft, context, { fence }) => endSession(draft, { fence, reason: parsed }, context), {
      recovers: "dead",
      interruptsWaiting: interruptions.session_ended,
    }),
  );
}
