import type { JSX } from "preact";
export function OverviewPage(): JSX.Element {
  return <div class="page" />;
}
