import type { JSX } from "preact";
export function ConversationPage({ params }: { readonly params: { readonly id: string } }): JSX.Element {
  return <div class="page">{params.id}</div>;
}
