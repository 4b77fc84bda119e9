import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { json } from "./format.ts";
import { shown } from "./mask.ts";

export function Json({ value }: { readonly value: unknown }): JSX.Element {
  const text = typeof value === "string" ? value : json(value);
  return (
    <pre class="code" tabIndex={0}>
      {shown(text)}
    </pre>
  );
}

export function CopyButton({ text, label = "Copy" }: { readonly text: string; readonly label?: string }): JSX.Element {
  const copied = useSignal(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    copied.value = true;
    setTimeout(() => (copied.value = false), 1500);
  };
  return (
    <button type="button" class="quiet" onClick={() => void copy()}>
      {copied.value ? "Copied" : label}
    </button>
  );
}
