import type { ComponentChildren, JSX } from "preact";
import { useLocation } from "preact-iso/router";
import { useEffect, useRef } from "preact/hooks";
import { forget, key, liveness, place } from "../http/api.ts";
import { Confirm } from "./confirm.tsx";
import { Icon, Logo, type IconName } from "./icons.tsx";
import { isHelpOpen, useKeys } from "./keyboard.ts";
import { isMasked, switchMask } from "./mask.ts";
import { href } from "./parts.tsx";
import { isDark, switchTheme } from "./theme.ts";
import { Toasts } from "./toasts.tsx";

const pages: readonly {
  readonly name: string;
  readonly path: string;
  readonly icon: IconName;
  readonly keys: string;
}[] = [
  { name: "Sessions", path: "/", icon: "sessions", keys: "g s" },
  { name: "Waiting", path: "/?waiting=true", icon: "waiting", keys: "g w" },
  { name: "Overview", path: "/overview", icon: "overview", keys: "g o" },
  { name: "Operate", path: "/operate", icon: "operate", keys: "g d" },
];

const livenessText = { connecting: "connecting", live: "live", lost: "reconnecting", polling: "every 5 s" } as const;

/** The frame of every page: the pages beside it, the key, the theme. */
export function Shell({ children }: { readonly children: ComponentChildren }): JSX.Element {
  const { url, route } = useLocation();
  useKeys({
    "?": () => (isHelpOpen.value = true),
    t: switchTheme,
    m: switchMask,
    ...Object.fromEntries(pages.map(({ keys, path }) => [keys, () => route(href(path))])),
  });
  const current = currentPage(url);
  return (
    <div class="shell">
      <a class="skip" href="#content">
        Skip to content
      </a>
      <nav class="side" aria-label="Pages">
        <a class="brand" href={href("/")}>
          <Logo />
          <span>Perdure</span>
        </a>
        <ul>
          {pages.map(({ name, path, icon }) => (
            <li key={name}>
              <a href={href(path)} aria-current={name === current ? "page" : undefined}>
                <Icon name={icon} />
                <span>{name}</span>
              </a>
            </li>
          ))}
        </ul>
        <div class="side-end">
          <p class="tenant">
            <span class="faint">tenant</span> <span class="clip">{key.value?.tenant}</span>
            <span class={`right right-${key.value?.right}`}>
              {key.value?.right === "read" ? "read-only" : key.value?.right}
            </span>
          </p>
          <div class="tools">
            <span class={`live live-${liveness.value}`} role="status">
              {livenessText[liveness.value]}
            </span>
            <button
              type="button"
              class="quiet"
              onClick={switchMask}
              aria-pressed={isMasked.value}
              aria-label="Mask texts"
              title="Mask the texts of conversations (m)"
            >
              <Icon name={isMasked.value ? "masked" : "unmasked"} />
            </button>
            <button
              type="button"
              class="quiet"
              onClick={switchTheme}
              aria-label={isDark.value ? "Light theme" : "Dark theme"}
              title="Theme (t)"
            >
              <Icon name="theme" />
            </button>
            <button
              type="button"
              class="quiet"
              onClick={() => (isHelpOpen.value = true)}
              aria-label="Keyboard shortcuts"
              title="Keyboard shortcuts (?)"
            >
              <Icon name="keyboard" />
            </button>
            {!place.isAdmitted && (
              <button
                type="button"
                class="quiet"
                onClick={() => forget(null)}
                aria-label="Leave"
                title="Forget the key"
              >
                <Icon name="leave" />
              </button>
            )}
          </div>
        </div>
      </nav>
      <main id="content" tabIndex={-1}>
        {children}
      </main>
      <Help />
      <Confirm />
      <Toasts />
    </div>
  );
}

function currentPage(url: string): string | undefined {
  const { pathname, search } = new URL(url, location.href);
  const path = pathname.slice(place.base.length);
  if (path.startsWith("/overview")) return "Overview";
  if (path.startsWith("/operate")) return "Operate";
  if (path.startsWith("/sessions")) return "Sessions";
  return new URLSearchParams(search).get("waiting") === "true" ? "Waiting" : "Sessions";
}

const shortcuts: readonly (readonly [keys: string, what: string])[] = [
  ["j  k", "next, previous session or turn"],
  ["Enter", "open"],
  ["/", "search"],
  ["g s", "sessions"],
  ["g w", "sessions that wait"],
  ["g o", "overview"],
  ["g d", "operate: events, streams, doctor, sweep, erasure"],
  ["1 2 3 4", "conversation, timeline, stored entries, comparison"],
  ["Esc", "back, or close"],
  ["m", "mask the texts of conversations"],
  ["t", "light or dark"],
  ["?", "this list"],
];

function Help(): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (isHelpOpen.value) dialog.current?.showModal();
  }, [isHelpOpen.value]);
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="help-title" onClose={() => (isHelpOpen.value = false)}>
      <h2 id="help-title">Keyboard shortcuts</h2>
      <dl class="keys">
        {shortcuts.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              {keys.split(/\s+/).map((one) => (
                <kbd key={one}>{one}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog" class="dialog-end">
        <button class="button">Close</button>
      </form>
    </dialog>
  );
}
