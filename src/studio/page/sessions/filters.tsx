import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useLocation } from "preact-iso/router";
import { useEffect, useRef } from "preact/hooks";
import { states } from "../http/wire.ts";
import { useKeys } from "../view/keyboard.ts";
import { href } from "../view/parts.tsx";
import type { Filter } from "./session-list.ts";

const texts = [
  { name: "agent", label: "Agent", placeholder: "any agent" },
  { name: "user", label: "User", placeholder: "any user" },
  { name: "label", label: "Labels", placeholder: "team=ops, tier" },
] as const;

const choices = [
  { name: "state", label: "State", options: [["", "any state"], ...states.map((state) => [state, state])] },
  {
    name: "since",
    label: "Active",
    options: [
      ["", "any time"],
      ["1", "last hour"],
      ["24", "last day"],
      ["168", "last week"],
      ["720", "last 30 days"],
    ],
  },
  {
    name: "held",
    label: "Lease",
    options: [
      ["", "any lease"],
      ["true", "leased"],
    ],
  },
  {
    name: "order",
    label: "Order",
    options: [
      ["", "recent first"],
      ["created", "newest first"],
      ["id", "by id"],
    ],
  },
] as const;

export function isFiltered(query: Filter): boolean {
  return Object.entries(query).some(([name, value]) => name !== "order" && value !== "");
}

/** The filters of the list; they are in the address. */
export function Filters({ query }: { readonly query: Filter }): JSX.Element {
  const { route } = useLocation();
  const words = useSignal(query["text"] ?? "");
  useEffect(() => void (words.value = query["text"] ?? ""), [query["text"]]);
  const search = useRef<HTMLInputElement>(null);
  useKeys({ "/": () => search.current?.focus() });
  const set = (name: string, value: string): void => {
    const next = Object.entries({ ...query, [name]: value.trim() }).filter(([, one]) => one !== "");
    const text = new URLSearchParams(next).toString();
    route(href(`/${text === "" ? "" : `?${text}`}`), true);
  };
  return (
    <div class="filters" role="search">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          set("text", words.value);
        }}
      >
        <input
          ref={search}
          class="input input-search"
          type="search"
          aria-label="Search messages and titles, or open a session by its id"
          placeholder="Search, or an id   /"
          value={words.value}
          onInput={(event) => (words.value = event.currentTarget.value)}
        />
      </form>
      {texts.map(({ name, label, placeholder }) => (
        <input
          key={name}
          class={query[name] === undefined ? "input" : "input input-set"}
          aria-label={label}
          placeholder={placeholder}
          value={query[name] ?? ""}
          onChange={(event) => set(name, event.currentTarget.value)}
        />
      ))}
      {choices.map(({ name, label, options }) => (
        <select
          key={name}
          class={query[name] === undefined ? "input" : "input input-set"}
          aria-label={label}
          value={query[name] ?? ""}
          onChange={(event) => set(name, event.currentTarget.value)}
        >
          {options.map(([value, text]) => (
            <option key={value} value={value} selected={value === (query[name] ?? "")}>
              {text}
            </option>
          ))}
        </select>
      ))}
      {isFiltered(query) && (
        <a class="quiet" href={href("/")}>
          Clear
        </a>
      )}
    </div>
  );
}
