import type { JSX } from "preact";

const shapes = {
  sessions: "M3 4.5h10M3 8h10M3 11.5h6",
  overview: "M2.5 13.5h11M4.5 11V7.5M8 11V3.5M11.5 11V6",
  waiting: "M8 4.5V8l2.2 1.6M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12Z",
  operate: "M2.5 8.5h2.2L6.4 4l3 8 1.7-3.5h2.4",
  erase: "M3.5 4.5h9M6.5 4.5V3h3v1.5M5 4.5l.6 8.5h4.8l.6-8.5",
  compare: "M5.5 3v10M10.5 3v10M2.5 5.5h3M2.5 9h3M10.5 7h3M10.5 10.5h3",
  theme: "M8 2.2a5.8 5.8 0 1 0 5.8 6.6A4.6 4.6 0 0 1 8 2.2Z",
  unmasked:
    "M1.8 8S4 3.8 8 3.8 14.2 8 14.2 8 12 12.2 8 12.2 1.8 8 1.8 8ZM8 9.800a1.800 1.800 0 1 0 0-3.600 1.800 1.800 0 0 0 0 3.600Z",
  masked:
    "M2.5 2.5l11 11M6.200 4.100A6 6 0 0 1 8 3.800c4 0 6.200 4.200 6.200 4.200a10 10 0 0 1-1.700 2.200M4 5.300A10 10 0 0 0 1.800 8S4 12.200 8 12.200a6 6 0 0 0 2.700-.6",
  keyboard: "M2 4.5h12v7H2zM4.5 7h.01M7 7h.01M9.5 7h.01M12 7h.01M5 9.5h6",
  leave: "M6.5 3H3v10h3.5M7 8h6.5M11 5.5 13.5 8 11 10.5",
  fork: "M5 3v4.5a2 2 0 0 0 2 2h4M5 7.5V13M9 7.5l2.2 2L9 11.5",
  back: "M10 3.5 5.5 8l4.5 4.5",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  lock: "M4 7.5h8v6H4zM5.5 7.5V5.3a2.5 2.5 0 0 1 5 0v2.2",
  tool: "M9.8 3.2a3 3 0 0 0-3.6 4L2.8 10.600a1.700 1.700 0 0 0 2.400 2.400L8.700 9.600a3 3 0 0 0 4-3.600L10.800 7.900 8.900 7.500 8.400 5.500Z",
} as const;

export type IconName = keyof typeof shapes;

/** A picture beside a text; a screen reader passes over it. */
export function Icon({ name }: { readonly name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={shapes[name]} />
    </svg>
  );
}

/** The sign of Perdure, as in `icon.svg`. */
export function Logo(): JSX.Element {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path d="M11.5 24V9H17A5 5 0 0 1 17 19H11.5" />
    </svg>
  );
}
