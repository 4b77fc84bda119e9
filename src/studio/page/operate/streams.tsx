import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { call } from "../http/api.ts";
import { useRound } from "../http/round.ts";
import type { Page } from "../http/wire.ts";
import { counted } from "../view/format.ts";
import { Ago, Blank, Failure, Loading, sessionHref, useLoaded } from "../view/parts.tsx";

interface Stream {
  readonly stream: string;
  readonly status: "streaming" | "done" | "error" | "lost";
  readonly session: string | null;
  readonly parts: number;
  readonly createdAt: string;
  readonly lastActivityAt: string;
}

const choices = [
  { name: "in progress or lost", statuses: ["streaming", "lost"] },
  { name: "in progress", statuses: ["streaming"] },
  { name: "lost", statuses: ["lost"] },
  { name: "all", statuses: [] },
] as const;

const marks: Readonly<Record<Stream["status"], string>> = {
  streaming: "open",
  done: "done",
  error: "failed",
  lost: "interrupted",
};

/** The streams, the last written first; those in progress and those whose producer is gone without a choice. */
export function Streams(): JSX.Element {
  const chosen = useSignal<(typeof choices)[number]["name"]>("in progress or lost");
  const round = useRound(1000, "streams");
  const { value, error, reload } = useLoaded(
    async (signal) => {
      const status = choices.find(({ name }) => name === chosen.value)?.statuses ?? [];
      return await call<Page<Stream>>("/v1/streams", { query: { status, limit: 200 }, signal });
    },
    [chosen.value, round],
  );
  return (
    <>
      <p class="soft">
        A stream is lost if its producer ended without an end of the stream. Its parts stay readable until it expires.
      </p>
      <p class="actions" role="group" aria-label="Status">
        {choices.map(({ name }) => (
          <button
            key={name}
            type="button"
            class="chip"
            aria-pressed={chosen.value === name}
            onClick={() => (chosen.value = name)}
          >
            {name}
          </button>
        ))}
      </p>
      {error !== undefined ? (
        <Failure error={error} retry={reload} />
      ) : value === undefined ? (
        <Loading />
      ) : value.items.length === 0 ? (
        <Blank title={chosen.value === "all" ? "No streams" : "No stream is in this state"} />
      ) : (
        <ol class="lines">
          {value.items.map(({ stream, status, session, parts, createdAt, lastActivityAt }) => (
            <li key={stream} class="line line-stream">
              <span class={`state state-${marks[status]}`}>{status === "streaming" ? "in progress" : status}</span>
              <code class="clip" title={stream}>
                {stream}
              </code>
              {session === null ? (
                <span class="faint">no session</span>
              ) : (
                <a class="link clip" href={sessionHref(session)}>
                  {session}
                </a>
              )}
              <span class="num">{counted(parts, "part")}</span>
              <span class="faint num">
                begun <Ago at={createdAt} />
              </span>
              <span class="faint num">
                <Ago at={lastActivityAt} />
              </span>
            </li>
          ))}
        </ol>
      )}
      {value?.next !== undefined && <p class="faint">The last 200 are shown.</p>}
    </>
  );
}
