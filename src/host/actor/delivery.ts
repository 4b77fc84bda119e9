import { endOf, type Activation } from "../workers/worker-slot.ts";
import { isStream } from "../workers/inline-slot.ts";
import { SessionError } from "../../errors.ts";
import type { QueuedMessage } from "./mailbox.ts";
import { relay } from "./relay.ts";

/** How a message is delivered. */
export interface DeliveryOptions {
  /** Rejects when the delivery is interrupted. */
  readonly interrupted: Promise<never>;
  /** Called when the answer has begun: the message is not delivered again. */
  readonly answered: () => void;
  /** An error as the sender gets it. */
  readonly forCaller: (error: Error) => Error;
}

/** Delivers a message to the runtime, and its answer to the sender. Resolves at the end of the answer. */
export async function deliver(
  activation: Activation,
  queued: QueuedMessage,
  { interrupted, answered, forCaller }: DeliveryOptions,
): Promise<void> {
  const answer = await Promise.race([activation.deliver(queued.message), interrupted]);
  answered();
  if (isStream(answer)) {
    const { stream, whole } = relay(answer, interrupted, (error) =>
      forCaller(error instanceof SessionError ? error : endOf(error)),
    );
    queued.resolve(stream);
    await whole;
  } else {
    queued.resolve(answer);
  }
}
