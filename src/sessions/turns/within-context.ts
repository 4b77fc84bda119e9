import type { Message } from "../../domain/turns/turn.ts";
import { hasCode } from "../../errors.ts";
import type { Model } from "../options/model.ts";

/** How often a request that is too long is asked again. */
const againMax = 3;

/**
 * A model that is asked again with fewer of the past turns where it refuses a request because of its length, before it has
 * said anything. `shorter` gives the messages for the next try; undefined where nothing is left to leave out.
 */
export function withinContext(model: Model, shorter: () => readonly Message[] | undefined): Model {
  return async function* answer(request, context) {
    let { messages } = request;
    for (let attempt = 1; ; attempt++) {
      let hasOutput = false;
      try {
        for await (const event of model({ ...request, messages }, context)) {
          hasOutput ||= event.type === "text" || event.type === "message";
          yield event;
        }
        return;
      } catch (error) {
        const isTooLong = hasCode(error, "model_refused") && error.details.contextExceeded === true;
        const next = isTooLong && !hasOutput && attempt <= againMax ? shorter() : undefined;
        if (next === undefined) throw error;
        messages = next;
      }
    }
  };
}
