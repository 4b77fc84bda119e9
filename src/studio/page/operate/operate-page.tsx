import type { JSX } from "preact";
export function OperatePage(): JSX.Element {
  return <div class="page" />;
}
