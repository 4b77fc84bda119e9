import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { call } from "../http/api.ts";
import { useRound } from "../http/round.ts";
import type { Page, SessionEvent } from "../http/wire.ts";
import { eventText } from "../view/event-text.ts";
import { stamp, words } from "../view/format.ts";
import { Blank, Failure, Loading, sessionHref, useLoaded } from "../view/parts.tsx";

const severities = ["info", "warning", "error"] as const;

/** The last events of all sessions. */
export function Events(): JSX.Element {
  const severity = useSignal<(typeof severities)[number]>("info");
  const round = useRound(1000);
  const { value, error, reload } = useLoaded(
    async (signal) => {
      const query = { severity: severity.value, order: "descending", limit: 200 };
      return await call<Page<SessionEvent>>("/v1/events", { query, signal });
    },
    [severity.value, round],
  );
  return (
    <>
      <p class="actions" role="group" aria-label="Severity">
        {severities.map((one) => (
          <button
            key={one}
            type="button"
            class="chip"
            aria-pressed={severity.value === one}
            onClick={() => (severity.value = one)}
          >
            {one === "info" ? "all" : one === "warning" ? "warnings" : "errors"}
          </button>
        ))}
      </p>
      {error !== undefined ? (
        <Failure error={error} retry={reload} />
      ) : value === undefined ? (
        <Loading />
      ) : value.items.length === 0 ? (
        <Blank title="No events" />
      ) : (
        <ol class="lines">
          {value.items.map((event) => (
            <li key={`${event.session} ${event.seq} ${event.at}`}>
              <a class="line line-event" href={sessionHref(event.session ?? "", "/timeline")}>
                <time class="faint" dateTime={event.at}>
                  {stamp(event.at)}
                </time>
                <span class={`state state-${event.severity}`}>{words(event.type)}</span>
                <span class="clip">{event.session}</span>
                <span class="clip faint">{eventText(event)}</span>
              </a>
            </li>
          ))}
        </ol>
      )}
    </>
  );
}
