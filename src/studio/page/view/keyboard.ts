/** Keys of the whole page. A page adds its own while it is shown. */
import { signal } from "@preact/signals";
import { useLayoutEffect } from "preact/hooks";

/** Handlers by key; a pair such as `g s` is two keys after each other. */
export type Keys = Readonly<Record<string, (event: KeyboardEvent) => void>>;

export const isHelpOpen = signal(false);

const layers: Keys[] = [];
let first = "";
let firstAt = 0;
/** The second key of a pair follows within this time, ms. */
const pairMs = 1200;

function onKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const target = event.target as HTMLElement;
  const isTyping = target.matches("input, textarea, select, [contenteditable]");
  if (isTyping) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (document.querySelector("dialog[open]") !== null) return;
  const pair = performance.now() - firstAt < pairMs ? `${first} ${event.key}` : "";
  first = event.key;
  firstAt = performance.now();
  for (const keys of layers.toReversed()) {
    const handler = (pair === "" ? undefined : keys[pair]) ?? keys[event.key];
    if (handler === undefined) continue;
    event.preventDefault();
    handler(event);
    return;
  }
}

document.addEventListener("keydown", onKey);

/** Adds keys while the component is shown. */
export function useKeys(keys: Keys): void {
  // A key that is pressed as soon as the page is visible has its handler.
  useLayoutEffect(() => {
    layers.push(keys);
    return () => void layers.splice(layers.indexOf(keys), 1);
  });
}
