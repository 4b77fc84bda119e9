import { signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

interface Question {
  readonly title: string;
  readonly about: string;
  readonly isDanger: boolean;
  readonly reason?: "optional" | "required";
  /** The label of a text that is asked for instead of a reason. */
  readonly input?: string;
  /** The text that must be typed, so that nothing is destroyed by a slip. */
  readonly typed?: string;
}

const question = signal<(Question & { readonly answer: (text: string | undefined) => void }) | undefined>(undefined);

/** Asks a person to confirm; the text that was given, or undefined. */
export async function confirm(asked: Question): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  question.value = { ...asked, answer: resolve };
  const text = await promise;
  question.value = undefined;
  return text;
}

export function Confirm(): JSX.Element | null {
  const asked = question.value;
  return asked === undefined ? null : <Dialog key={asked.title} {...asked} />;
}

function Dialog({
  title,
  about,
  isDanger,
  reason,
  input,
  typed,
  answer,
}: NonNullable<typeof question.value>): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const text = useSignal("");
  useEffect(() => dialog.current?.showModal(), []);
  const label =
    typed === undefined
      ? (input ?? (reason === undefined ? undefined : `Reason (${reason})`))
      : `Type ${typed} to confirm`;
  const given = text.value.trim();
  const isReady = typed === undefined ? reason !== "required" || given !== "" : given === typed;
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="confirm-title" onClose={() => answer(undefined)}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (isReady) answer(given);
        }}
      >
        <h2 id="confirm-title">{title}</h2>
        <p>{about}</p>
        {label !== undefined && (
          <label>
            {label}
            <input class="input" value={text.value} onInput={(event) => (text.value = event.currentTarget.value)} />
          </label>
        )}
        <div class="dialog-end">
          <button type="button" class="button" onClick={() => answer(undefined)}>
            Back
          </button>
          <button
            type="submit"
            class={isDanger ? "button button-danger-main" : "button button-main"}
            disabled={!isReady}
          >
            {title}
          </button>
        </div>
      </form>
    </dialog>
  );
}
