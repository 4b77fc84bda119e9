import type { JSX } from "preact";
import { useLocation } from "preact-iso/router";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { may } from "../http/api.ts";
import { number } from "../view/format.ts";
import { useKeys } from "../view/keyboard.ts";
import { Blank, Failure, Loading, href, sessionHref } from "../view/parts.tsx";
import { Filters, isFiltered } from "./filters.tsx";
import { parametersOf, SessionList, type Filter } from "./session-list.ts";
import { FoundMessages } from "./found.tsx";
import { RestoreSnapshot } from "./restore-snapshot.tsx";
import { SessionRow } from "./session-row.tsx";

/** Rows above and below the visible ones that are in the document, too. */
const margin = 12;

export function SessionsPage(): JSX.Element {
  const { query } = useLocation();
  if (query["text"] === undefined || query["text"] === "") return <ListPage query={query} />;
  return (
    <div class="page page-list">
      <header class="bar">
        <h1>Search</h1>
      </header>
      <Filters query={query} />
      <FoundMessages query={query} />
    </div>
  );
}

function ListPage({ query }: { readonly query: Filter }): JSX.Element {
  const list = useMemo(() => new SessionList(parametersOf(query)), [JSON.stringify(query)]);
  useEffect(() => () => list.close(), [list]);
  const rows = list.rows.value;
  const error = list.error.value;
  return (
    <div class="page page-list">
      <header class="bar">
        <h1>{query["waiting"] === undefined ? "Sessions" : "Waiting for a decision"}</h1>
        <span class="faint" role="status">
          {list.state.value === "first" ? "" : `${number(rows.length)}${list.state.value === "end" ? "" : "+"}`}
        </span>
        {may("admin") && <RestoreSnapshot />}
      </header>
      <Filters query={query} />
      {error !== undefined ? (
        <Failure error={error} retry={() => list.retry()} />
      ) : list.state.value === "first" ? (
        <Loading lines={14} />
      ) : rows.length === 0 ? (
        <Nothing query={query} />
      ) : (
        <Rows list={list} />
      )}
    </div>
  );
}

function Nothing({ query }: { readonly query: Filter }): JSX.Element {
  if (isFiltered(query))
    return (
      <Blank title="No session matches">
        <p>
          <a href={href("/")}>Clear the filters</a>
        </p>
      </Blank>
    );
  return (
    <Blank title="No sessions yet">
      <p>A session appears here as soon as a program or a device opens one.</p>
      <pre class="code">perdure consult ceo "Shall we buy a second oven?"</pre>
    </Blank>
  );
}

/** Only the visible rows are in the document: a list may have a hundred thousand. */
function Rows({ list }: { readonly list: SessionList }): JSX.Element {
  const rows = list.rows.value;
  const box = useRef<HTMLDivElement>(null);
  const [{ top, height }, setView] = useState({ top: 0, height: 900 });
  const [chosen, setChosen] = useState(-1);
  const { route } = useLocation();
  const rowHeight = matchMedia("(max-width: 719px)").matches ? 64 : 40;
  const first = Math.max(0, Math.floor(top / rowHeight) - margin);
  const last = Math.min(rows.length, Math.ceil((top + height) / rowHeight) + margin);

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const measure = (): void => setView({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", measure);
    };
  }, []);
  useEffect(() => {
    // The next page is there before its rows are.
    if (last + 100 > rows.length) list.more();
  }, [last, rows.length, list]);

  const choose = (index: number): void => {
    const next = Math.min(Math.max(index, 0), rows.length - 1);
    setChosen(next);
    const element = box.current;
    if (element === null) return;
    if (next * rowHeight < element.scrollTop) element.scrollTop = next * rowHeight;
    const bottom = (next + 1) * rowHeight - element.clientHeight;
    if (bottom > element.scrollTop) element.scrollTop = bottom;
    requestAnimationFrame(() => element.querySelector<HTMLElement>(`[data-index="${next}"]`)?.focus());
  };
  useKeys({
    j: () => choose(chosen + 1),
    k: () => choose(chosen - 1),
    ArrowDown: () => choose(chosen + 1),
    ArrowUp: () => choose(chosen - 1),
    Enter: () => {
      const row = rows[chosen];
      if (row !== undefined) route(sessionHref(row.id));
    },
  });

  return (
    <>
      <div class="row row-head" aria-hidden="true">
        <span>Session</span>
        <span>State</span>
        <span>Agent</span>
        <span>User</span>
        <span>Labels</span>
        <span class="num">Turns</span>
        <span class="num">Tokens</span>
        <span class="num">Active</span>
      </div>
      <div class="rows" ref={box} tabIndex={0} role="region" aria-label="List of sessions">
        <ol style={{ height: `${rows.length * rowHeight}px` }}>
          {rows.slice(first, last).map((row, index) => (
            <SessionRow
              key={row.id}
              session={row}
              index={first + index}
              top={(first + index) * rowHeight}
              isChosen={first + index === chosen}
            />
          ))}
        </ol>
      </div>
    </>
  );
}
