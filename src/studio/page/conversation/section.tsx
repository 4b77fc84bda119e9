import type { ComponentChildren, JSX } from "preact";
import { ahead, instant } from "../view/format.ts";
import { useNow } from "../view/parts.tsx";

/** A part of the panel. */
export function Section({
  title,
  children,
}: {
  readonly title: string;
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <section>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

export function Until({ at }: { readonly at: string }): JSX.Element {
  const now = useNow(1000);
  return (
    <time dateTime={at} title={instant(at)}>
      {ahead(at, now)}
    </time>
  );
}
