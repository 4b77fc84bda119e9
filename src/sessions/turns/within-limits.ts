import type { Message } from "../../domain/turns/turn.ts";
import { hasCode, type SessionError } from "../../errors.ts";
import type { Model } from "../options/model.ts";

/** How often a request that is too long is asked again. */
const shorterMax = 3;

/** Requests with less of the past turns; undefined where nothing is left to leave out. */
export interface SmallerRequests {
  /** The messages with half of the past turns that the last ones had. */
  readonly shorter: () => readonly Message[] | undefined;
  /** The messages without the pictures, recordings and files of past turns. */
  readonly withoutMedia: () => readonly Message[] | undefined;
}

/**
 * A model that is asked again with less of the past turns if it refuses a request before its first output: with fewer
 * of them if the request is too long, else once without their pictures and files, which it may not take.
 */
export function withinLimits(model: Model, { shorter, withoutMedia }: SmallerRequests): Model {
  return async function* answer(request, context) {
    let { messages } = request;
    let shortened = 0;
    for (;;) {
      let hasOutput = false;
      try {
        for await (const event of model({ ...request, messages }, context)) {
          hasOutput ||= event.type === "text" || event.type === "message";
          yield event;
        }
        return;
      } catch (error) {
        if (hasOutput || !hasCode(error, "model_refused")) throw error;
        const isTooLong = error.details.contextExceeded === true;
        if (isTooLong && ++shortened > shorterMax) throw error;
        const next = isTooLong ? shorter() : refusesContent(error) ? withoutMedia() : undefined;
        if (next === undefined) throw error;
        messages = next;
      }
    }
  };
}

/** False for a refusal of the key or of the account, which no other request would pass. */
function refusesContent({ details }: SessionError<"model_refused">): boolean {
  return ![401, 402, 403].includes(details.httpStatus ?? 0);
}
