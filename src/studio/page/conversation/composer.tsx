import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useLocation } from "preact-iso/router";
import { call, sessionPath } from "../http/api.ts";
import type { Session } from "../http/wire.ts";
import { sessionHref } from "../view/parts.tsx";
import { say } from "../view/toasts.tsx";
import type { Conversation } from "./conversation.ts";

/** Asks the model: in a fork, so that the conversation stays as it is, or in the conversation itself. */
export function Composer({
  conversation,
  session,
}: {
  readonly conversation: Conversation;
  readonly session: Session;
}): JSX.Element {
  const text = useSignal("");
  const isBusy = useSignal(false);
  const { route } = useLocation();
  const isLive = session.state === "active" || session.state === "inactive";
  const ask = async (isFork: boolean): Promise<void> => {
    const message = text.value.trim();
    if (message === "" || isBusy.value) return;
    isBusy.value = true;
    try {
      const id = isFork
        ? (await call<Session>(sessionPath(session.id, "/fork"), { method: "POST", body: {} })).id
        : session.id;
      text.value = "";
      // The answer arrives by the watch of the session.
      call(sessionPath(id, "/consult"), { method: "POST", body: { message } }).catch((error: unknown) =>
        say((error as Error).message, { isError: true }),
      );
      if (isFork) route(sessionHref(id));
    } catch (error) {
      say((error as Error).message, { isError: true });
    }
    isBusy.value = false;
    await conversation.reload();
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void ask(true);
      }}
    >
      <textarea
        class="input"
        rows={1}
        aria-label="Ask the model"
        placeholder="Try a question in a fork"
        value={text.value}
        onInput={(event) => (text.value = event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey) return;
          event.preventDefault();
          void ask(true);
        }}
      />
      {isLive && (
        <button type="button" class="button" disabled={isBusy.value} onClick={() => void ask(false)}>
          Ask here
        </button>
      )}
      <button type="submit" class="button button-main" disabled={isBusy.value}>
        Ask in a fork
      </button>
    </form>
  );
}
