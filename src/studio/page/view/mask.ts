/** A mask over the texts of conversations, for a screen that others see. */
import { signal } from "@preact/signals";

const storageName = "perdure-studio-masked";

/** True while texts are masked; it stays in this tab. */
export const isMasked = signal(sessionStorage.getItem(storageName) === "true");

export function switchMask(): void {
  isMasked.value = !isMasked.value;
  sessionStorage.setItem(storageName, String(isMasked.value));
}

/** A text of a conversation as it is shown: with a dot for each letter and digit while texts are masked. */
export function shown(text: string): string {
  return isMasked.value ? text.replaceAll(/[\p{L}\p{M}\p{N}\p{S}]/gu, "•") : text;
}
