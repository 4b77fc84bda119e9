import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { counted } from "../view/format.ts";
import { Icon } from "../view/icons.tsx";
import { useKeys } from "../view/keyboard.ts";
import { isDark, switchTheme } from "../view/theme.ts";
import { matches, operationsOf, type Document, type Operation } from "./document.ts";
import { OperationSection } from "./operation.tsx";
import { SchemaTree } from "./schema-tree.tsx";

/** The address of the server: this page is at `/docs` of it. */
const origin = location.origin + location.pathname.replace(/\/docs\/?$/, "");

/** The HTTP interface: a list of its operations, and each with its fields, its answers and an example. */
export function Reference({ document: described }: { readonly document: Document }): JSX.Element {
  const { info, components } = described;
  const all = useMemo(() => operationsOf(described), [described]);
  const search = useSignal("");
  const chosen = useSignal(decodeURIComponent(location.hash.slice(1)));
  const field = useRef<HTMLInputElement>(null);
  const shown = search.value === "" ? all : all.filter((one) => matches(one, search.value.trim()));
  const groups = [...new Set(shown.map(({ group }) => group))];

  useEffect(() => {
    const show = (): void => {
      chosen.value = decodeURIComponent(location.hash.slice(1));
      goTo(chosen.value);
    };
    show();
    addEventListener("hashchange", show);
    return () => removeEventListener("hashchange", show);
  }, []);
  const step = (by: number): void => {
    const at = shown.findIndex(({ id }) => id === chosen.value);
    const next = shown[Math.min(Math.max(at + by, 0), shown.length - 1)];
    if (next !== undefined) location.hash = next.id;
  };
  useKeys({
    "/": () => field.current?.focus(),
    j: () => step(1),
    k: () => step(-1),
    t: switchTheme,
    Escape: () => (search.value = ""),
  });

  return (
    <div class="reference">
      <a class="skip" href="#content">
        Skip to content
      </a>
      <nav class="reference-nav" aria-label="Operations">
        <p class="brand">
          <span class="logo" aria-hidden="true" />
          <span>{info.title}</span> <span class="faint">{info.version}</span>
          <button
            type="button"
            class="quiet"
            onClick={switchTheme}
            aria-label={isDark.value ? "Light theme" : "Dark theme"}
            title="Theme (t)"
          >
            <Icon name="theme" />
          </button>
        </p>
        <form
          role="search"
          onSubmit={(event) => {
            event.preventDefault();
            if (shown[0] !== undefined) location.hash = shown[0].id;
          }}
        >
          <input
            ref={field}
            class="input"
            type="search"
            aria-label="Search operations and fields"
            placeholder="Search   /"
            value={search.value}
            onInput={(event) => (search.value = event.currentTarget.value)}
          />
        </form>
        <p class="faint reference-count" role="status">
          {search.value === "" ? counted(all.length, "operation") : `${shown.length} of ${all.length}`}
        </p>
        <div class="reference-list" tabIndex={0} role="region" aria-label="List of operations">
          {groups.map((group) => (
            <NavGroup
              key={group}
              group={group}
              operations={shown.filter((one) => one.group === group)}
              chosen={chosen.value}
            />
          ))}
        </div>
      </nav>
      <main id="content" class="reference-main" tabIndex={-1}>
        <header class="reference-head">
          <h1>HTTP interface</h1>
          <p class="soft">{info.description}</p>
          <p class="faint">
            For programs:{" "}
            <a class="link" href="openapi.json">
              openapi.json
            </a>
            . <kbd>/</kbd> searches, <kbd>j</kbd> and <kbd>k</kbd> go to the next and the previous operation. Examples
            take ids and secrets from variables of the shell.
          </p>
        </header>
        {shown.length === 0 && (
          <div class="blank">
            <strong>No operation has these words</strong>
          </div>
        )}
        {groups.map((group) => (
          <div key={group} class="reference-group">
            <h2 id={`group-${group}`}>{titleOf(group)}</h2>
            {shown
              .filter((one) => one.group === group)
              .map((operation) => (
                <OperationSection
                  key={operation.id}
                  operation={operation}
                  schemas={components.schemas}
                  origin={origin}
                />
              ))}
          </div>
        ))}
        {search.value === "" && (
          <div class="reference-group">
            <h2 id="group-schemas">Schemas</h2>
            {Object.entries(components.schemas).map(([name, schema]) => (
              <section key={name} class="operation" id={`schema-${name}`} tabIndex={-1}>
                <h3>
                  <a href={`#schema-${name}`}>{name}</a>
                </h3>
                <SchemaTree schema={schema} />
              </section>
            ))}
          </div>
        )}
      </main>
    </div>
  );
}

interface NavGroupProps {
  readonly group: string;
  readonly operations: readonly Operation[];
  readonly chosen: string;
}

function NavGroup({ group, operations, chosen }: NavGroupProps): JSX.Element {
  return (
    <>
      <h2>
        <a href={`#group-${group}`}>{titleOf(group)}</a>
      </h2>
      <ul>
        {operations.map(({ id, method, summary, path }) => (
          <li key={id}>
            <a
              href={`#${id}`}
              title={`${method.toUpperCase()} ${path}`}
              aria-current={id === chosen ? "true" : undefined}
            >
              <span class={`method method-${method}`}>{method.toUpperCase()}</span>
              <span class="clip">{summary}</span>
            </a>
          </li>
        ))}
      </ul>
    </>
  );
}

function titleOf(group: string): string {
  return group.charAt(0).toUpperCase() + group.slice(1);
}

/** Shows the part that the address names: it came into the document after the browser looked for it. */
function goTo(id: string): void {
  const part = id === "" ? null : document.getElementById(id);
  part?.scrollIntoView({ block: "start" });
  part?.focus({ preventScroll: true });
  document.querySelector('.reference-list [aria-current="true"]')?.scrollIntoView({ block: "nearest" });
}
