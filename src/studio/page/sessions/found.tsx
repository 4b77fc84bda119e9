import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, Problem } from "../http/api.ts";
import type { Page } from "../http/wire.ts";
import { shown } from "../view/mask.ts";
import { Ago, Blank, Failure, Loading, sessionHref } from "../view/parts.tsx";
import { parametersOf, type Filter } from "./session-list.ts";

interface Found {
  readonly session: string;
  readonly title: string | null;
  /** Null where the title was found. */
  readonly turn: number | null;
  readonly role?: string | null;
  readonly at: string;
  readonly snippet: { readonly text: string; readonly marks: readonly (readonly [from: number, to: number])[] };
}

interface FoundPage extends Page<Found> {
  readonly isCurrent?: boolean;
}

/** The messages and titles that have the words of the search, the newest first. */
export function FoundMessages({ query }: { readonly query: Filter }): JSX.Element {
  const items = useSignal<readonly Found[] | undefined>(undefined);
  const next = useSignal<string | undefined>(undefined);
  const isCurrent = useSignal(true);
  const failure = useSignal<unknown>(undefined);
  const text = query["text"] ?? "";
  const load = async (after?: string, signal?: AbortSignal): Promise<void> => {
    try {
      const { activeSince, held: _, order: __, waiting: ___, ...filter } = parametersOf(query);
      const parameters = { ...filter, text, since: activeSince, limit: 50, after };
      const page = await call<FoundPage>("/v1/search", { query: parameters, signal });
      items.value = after === undefined ? page.items : [...(items.value ?? []), ...page.items];
      next.value = page.next;
      isCurrent.value = page.isCurrent ?? true;
    } catch (error) {
      if (signal?.aborted !== true) failure.value = error;
    }
  };
  useEffect(() => {
    const aborter = new AbortController();
    items.value = undefined;
    failure.value = undefined;
    void load(undefined, aborter.signal);
    return () => aborter.abort();
  }, [JSON.stringify(query)]);
  if (failure.value !== undefined) {
    const isReadOnly = failure.value instanceof Problem && failure.value.code === "store_read_only";
    return isReadOnly ? <Blank title="A read-only store has no search" /> : <Failure error={failure.value} />;
  }
  return (
    <div class="found" tabIndex={0} role="region" aria-label="Found messages">
      <p>
        <a class="link" href={sessionHref(text)}>
          Open the session with the id {text}
        </a>
      </p>
      {!isCurrent.value && <p class="notice">The index is being built. Search again for the rest.</p>}
      {items.value === undefined ? (
        <Loading />
      ) : items.value.length === 0 ? (
        <Blank title="No message has these words" />
      ) : (
        <ol>
          {items.value.map(({ session, title, turn, role, at, snippet }) => (
            <li key={`${session} ${turn} ${role} ${snippet.text}`}>
              <a class="hit" href={sessionHref(session, turn === null ? "" : `#turn-${turn}`)}>
                <span class="hit-head">
                  <strong class="clip">{title === null ? session : shown(title)}</strong>
                  <span class="faint clip">
                    {turn === null ? "title" : `turn ${turn}${role == null ? "" : ` · ${role}`}`}
                  </span>
                  <span class="faint num">
                    <Ago at={at} />
                  </span>
                </span>
                <span class="soft">{marked(snippet)}</span>
              </a>
            </li>
          ))}
        </ol>
      )}
      {next.value !== undefined && (
        <p class="turns-earlier">
          <button type="button" class="button" onClick={() => void load(next.value)}>
            More
          </button>
        </p>
      )}
    </div>
  );
}

/** The text with its marks as elements; the pieces are text nodes. */
function marked({ text, marks }: Found["snippet"]): (string | JSX.Element)[] {
  const pieces: (string | JSX.Element)[] = [];
  let end = 0;
  for (const [from, to] of marks) {
    pieces.push(shown(text.slice(end, from)), <mark key={from}>{shown(text.slice(from, to))}</mark>);
    end = to;
  }
  pieces.push(shown(text.slice(end)));
  return pieces;
}
