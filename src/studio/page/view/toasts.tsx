import { signal } from "@preact/signals";
import type { JSX } from "preact";

interface Toast {
  readonly id: number;
  readonly text: string;
  readonly isError: boolean;
}

const toasts = signal<readonly Toast[]>([]);
let lastId = 0;
const shownMs = 6000;

/** Shows a short message for some seconds. */
export function say(text: string, { isError = false }: { readonly isError?: boolean } = {}): void {
  const toast = { id: ++lastId, text, isError };
  toasts.value = [...toasts.value, toast];
  setTimeout(() => (toasts.value = toasts.value.filter(({ id }) => id !== toast.id)), shownMs);
}

export function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ id, text, isError }) => (
        <p key={id} class={isError ? "toast toast-error" : "toast"}>
          {text}
        </p>
      ))}
    </div>
  );
}
