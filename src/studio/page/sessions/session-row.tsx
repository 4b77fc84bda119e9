import type { JSX } from "preact";
import type { Session } from "../http/wire.ts";
import { compact, number } from "../view/format.ts";
import { Icon } from "../view/icons.tsx";
import { shown } from "../view/mask.ts";
import { Ago, StateMark, sessionHref } from "../view/parts.tsx";

interface RowProps {
  readonly session: Session;
  readonly index: number;
  readonly top: number;
  readonly isChosen: boolean;
}

export function SessionRow({ session, index, top, isChosen }: RowProps): JSX.Element {
  const { id, title, state, agent, activeAgent, user, labels, turn, counters, lastActivityAt } = session;
  const tokens = counters["totalTokens"] ?? 0;
  return (
    <li style={{ transform: `translateY(${top}px)` }} aria-posinset={index + 1} aria-setsize={-1}>
      <a class={isChosen ? "row row-chosen" : "row"} href={sessionHref(id)} data-index={index}>
        <span class="row-name">
          {session.waitingTurn !== null && (
            <span class="tag tag-waiting" title={shown(session.waitingTurn.reason)}>
              waits
            </span>
          )}
          <span class="clip">{title === null ? id : shown(title)}</span>
          {title !== null && <code class="clip faint row-id">{id}</code>}
          {session.parent !== null && <Icon name="fork" />}
          {session.legalHold !== null && <span class="tag tag-hold">hold</span>}
          {session.leaseHolder !== undefined && (
            <span class={session.leaseHolder.alive ? "tag" : "tag tag-error"}>
              {session.leaseHolder.alive ? "leased" : "holder dead"}
            </span>
          )}
        </span>
        <span>
          <StateMark state={state} />
        </span>
        <span class="clip">{activeAgent === null ? agent : `${agent} → ${activeAgent.agent}`}</span>
        <span class="clip faint">{user ?? "–"}</span>
        <span
          class="row-labels"
          title={Object.entries(labels)
            .map(([name, value]) => `${name}: ${value}`)
            .join("\n")}
        >
          {Object.entries(labels).map(([name, value]) => (
            <span class="tag clip" key={name}>
              {name}
              <b>{value}</b>
            </span>
          ))}
        </span>
        <span class="num" data-unit={turn === 1 ? " turn" : " turns"}>
          {number(turn)}
        </span>
        <span class="num faint">{compact(tokens)}</span>
        <span class="num faint">
          <Ago at={lastActivityAt} />
        </span>
      </a>
    </li>
  );
}
