import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { call, sessionPath } from "../http/api.ts";
import type { StoredEntry } from "../http/wire.ts";
import { bytes, indented, number, stamp } from "../view/format.ts";
import { shown } from "../view/mask.ts";
import { CopyButton, Json } from "../view/code.tsx";
import { Blank, Failure, Loading, useLoaded } from "../view/parts.tsx";
import type { Conversation } from "./conversation.ts";

interface StoredPage {
  readonly items: readonly StoredEntry[];
  readonly version: number;
  readonly next?: number;
}

/** The entries of each log as the store has them. */
export function Stored({ conversation }: { readonly conversation: Conversation }): JSX.Element {
  const { id, changes } = conversation;
  const chosen = useSignal("turns");
  const { value, error, reload } = useLoaded(
    async (signal) =>
      await call<{ items: readonly { name: string; end: number }[] }>(sessionPath(id, "/stored"), { signal }),
    [id, changes.value],
  );
  if (error !== undefined) return <Failure error={error} retry={reload} />;
  if (value === undefined)
    return (
      <div class="main-column">
        <Loading />
      </div>
    );
  if (value.items.length === 0) return <Blank title="Nothing is stored in its logs yet" />;
  const name = value.items.some((log) => log.name === chosen.value) ? chosen.value : (value.items[0]?.name ?? "");
  return (
    <div class="main-column page-scroll" tabIndex={0} role="region" aria-label="Stored entries">
      <div class="chips" role="group" aria-label="Logs">
        {value.items.map((log) => (
          <button
            key={log.name}
            type="button"
            class="chip"
            aria-pressed={log.name === name}
            onClick={() => (chosen.value = log.name)}
          >
            {log.name} <span class="faint">{number(log.end)}</span>
          </button>
        ))}
      </div>
      <Entries key={name} id={id} name={name} change={changes.value} />
    </div>
  );
}

function Entries({
  id,
  name,
  change,
}: {
  readonly id: string;
  readonly name: string;
  readonly change: number;
}): JSX.Element {
  const entries = useSignal<readonly StoredEntry[] | undefined>(undefined);
  const next = useSignal<number | undefined>(undefined);
  const version = useSignal(0);
  const failure = useSignal<unknown>(undefined);
  const load = async (before?: number): Promise<void> => {
    try {
      const path = sessionPath(id, `/stored/${encodeURIComponent(name)}`);
      const page = await call<StoredPage>(path, { query: { before } });
      entries.value = before === undefined ? page.items : [...(entries.value ?? []), ...page.items];
      next.value = page.next;
      version.value = page.version;
    } catch (error) {
      failure.value = error;
    }
  };
  useEffect(() => void load(), [id, name, change]);
  if (failure.value !== undefined) return <Failure error={failure.value} />;
  if (entries.value === undefined) return <Loading />;
  const lines = entries.value.map((entry) => JSON.stringify(entry)).join("\n");
  return (
    <>
      <p class="stored-head faint">
        version <code>{version.value}</code>
        <CopyButton text={lines} label="Copy as NDJSON" />
      </p>
      <ol class="stored">
        {entries.value.map((entry) => (
          <li key={entry.seq}>
            <details>
              <summary>
                <span class="num">{entry.seq}</span>
                <code class="clip">{entry.key ?? "–"}</code>
                <span class="faint clip">{entry.at === null ? "–" : stamp(entry.at)}</span>
                <span class="num faint">{bytes(entry.bytes)}</span>
                <code class="clip faint">{shown(entry.data.slice(0, 200))}</code>
              </summary>
              <CopyButton text={entry.data} label="Copy JSON" />
              <Json value={indented(entry.data)} />
            </details>
          </li>
        ))}
      </ol>
      {next.value !== undefined && (
        <p class="turns-earlier">
          <button type="button" class="button" onClick={() => void load(next.value)}>
            Earlier entries
          </button>
        </p>
      )}
    </>
  );
}
