import type { ComponentChildren, JSX } from "preact";

/** A number with its name, and what belongs to it in small. */
export function Figure({
  name,
  value,
  children,
}: {
  readonly name: string;
  readonly value: string;
  readonly children?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="figure">
      <dt>{name}</dt>
      <dd>{value}</dd>
      <dd class="faint">{children}</dd>
    </div>
  );
}
