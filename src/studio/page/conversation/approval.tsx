import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { call, sessionPath } from "../http/api.ts";
import type { WaitingTurn } from "../http/wire.ts";
import { indented } from "../view/format.ts";
import { Json } from "../view/code.tsx";
import { shown } from "../view/mask.ts";
import { Ago } from "../view/parts.tsx";
import { say } from "../view/toasts.tsx";
import { record } from "./actions.ts";
import type { Conversation } from "./conversation.ts";

/** The calls for which a turn waits, and the decision on them. */
export function Approval({
  conversation,
  waiting,
}: {
  readonly conversation: Conversation;
  readonly waiting: WaitingTurn;
}): JSX.Element {
  const reason = useSignal("");
  const isBusy = useSignal(false);
  const decide = async (approved: boolean): Promise<void> => {
    isBusy.value = true;
    const refused = reason.value.trim() || "The operator refused.";
    const decisions = Object.fromEntries(waiting.calls.map(({ id }) => [id, approved ? true : { refused }]));
    try {
      await record(conversation.id, approved ? "approve" : "refuse", reason.value);
      await call(sessionPath(conversation.id, "/approve"), {
        method: "POST",
        body: { token: waiting.token, decisions },
      });
      say(approved ? "Approved. The answer continues." : "Refused. The model knows why.");
    } catch (error) {
      say((error as Error).message, { isError: true });
    }
    isBusy.value = false;
    await conversation.reload();
  };
  return (
    <section class="approval" aria-label="Waiting for a decision">
      <h2>
        Turn {waiting.turn} waits: {shown(waiting.reason)}
        <span class="faint">
          {" "}
          since <Ago at={waiting.since} />
        </span>
      </h2>
      {waiting.calls.map(({ id, function: { name, arguments: given } }) => (
        <div key={id} class="approval-call">
          <code class="call-name">{name}</code>
          <Json value={indented(given)} />
        </div>
      ))}
      {waiting.calls.length > 0 ? (
        <div class="approval-end">
          <input
            class="input"
            aria-label="Reason"
            placeholder="Reason, for the model if you refuse"
            value={reason.value}
            onInput={(event) => (reason.value = event.currentTarget.value)}
          />
          <button type="button" class="button button-danger" disabled={isBusy.value} onClick={() => void decide(false)}>
            Refuse
          </button>
          <button type="button" class="button button-main" disabled={isBusy.value} onClick={() => void decide(true)}>
            Approve
          </button>
        </div>
      ) : (
        <p class="faint">Its program resumes it; there are no tool calls to decide on.</p>
      )}
    </section>
  );
}
