import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useLocation } from "preact-iso/router";
import { call, sessionPath } from "../http/api.ts";
import type { LogPage, Message, Turn } from "../http/wire.ts";
import { shown as masked } from "../view/mask.ts";
import { Blank, Failure, Loading, sessionHref, useLoaded } from "../view/parts.tsx";
import type { Conversation } from "./conversation.ts";
import { differenceOf, type Piece } from "./difference.ts";
import { textOf } from "./turn-view.tsx";

const shown = 100;

/** The session beside another one, turn by turn: a fork beside its parent without a choice. */
export function Compare({ conversation }: { readonly conversation: Conversation }): JSX.Element {
  const { query, route } = useLocation();
  const { id, session, changes } = conversation;
  const other = query["with"] ?? session.value?.parent?.id ?? "";
  const text = useSignal(other);
  const { value, error } = useLoaded(
    async (signal) =>
      other === "" ? undefined : await Promise.all([id, other].map(async (one) => await turnsOf(one, signal))),
    [id, other, changes.value],
  );
  return (
    <div class="main-column page-scroll" tabIndex={0} role="region" aria-label="Comparison">
      <form
        class="compare-head"
        onSubmit={(event) => {
          event.preventDefault();
          route(sessionHref(id, `/compare?with=${encodeURIComponent(text.value.trim())}`), true);
        }}
      >
        <input
          class="input"
          aria-label="Id of the other session"
          placeholder="Id of a fork, or of any session"
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
        <button class="button">Compare</button>
      </form>
      {other === "" ? (
        <Blank title="Compare with a fork">
          <p>Name another session. Turns that are the same are folded.</p>
        </Blank>
      ) : error !== undefined ? (
        <Failure error={error} />
      ) : value === undefined ? (
        <Loading />
      ) : (
        <Sides ids={[id, other]} turns={[value[0] ?? [], value[1] ?? []]} />
      )}
    </div>
  );
}

async function turnsOf(id: string, signal: AbortSignal): Promise<readonly Turn[]> {
  return (await call<LogPage<Turn>>(sessionPath(id, "/turns"), { query: { from: 1, to: shown }, signal })).items;
}

type Pair<Value> = readonly [Value, Value];

function Sides({ ids, turns }: { readonly ids: Pair<string>; readonly turns: Pair<readonly Turn[]> }): JSX.Element {
  const seqs = [...new Set(turns.flat().map(({ seq }) => seq))].sort((a, b) => a - b);
  const at = (side: 0 | 1, seq: number): Turn | undefined => turns[side].find((turn) => turn.seq === seq);
  const same = seqs.filter((seq) => textOfTurn(at(0, seq)) === textOfTurn(at(1, seq)));
  const different = seqs.filter((seq) => !same.includes(seq));
  return (
    <div class="sides">
      {ids.map((id) => (
        <h2 key={id} class="clip">
          <a class="link" href={sessionHref(id)}>
            {id}
          </a>
        </h2>
      ))}
      {same.length > 0 && (
        <p class="sides-same faint">
          {same.length === 1 ? "1 turn is" : `${same.length} turns are`} the same: {ranges(same)}
        </p>
      )}
      {different.map((seq) => {
        const [mine, theirs] = differenceOf(textOfTurn(at(0, seq)), textOfTurn(at(1, seq)));
        return [
          <Side key={`${seq}a`} seq={seq} turn={at(0, seq)} pieces={mine} />,
          <Side key={`${seq}b`} seq={seq} turn={at(1, seq)} pieces={theirs} />,
        ];
      })}
    </div>
  );
}

function Side({
  seq,
  turn,
  pieces,
}: {
  readonly seq: number;
  readonly turn: Turn | undefined;
  readonly pieces: readonly Piece[];
}): JSX.Element {
  if (turn === undefined) return <div class="side-turn faint">#{seq} has no counterpart here</div>;
  return (
    <article class="side-turn" aria-label={`Turn ${seq}`}>
      <p class="faint">
        #{seq} {turn.agent} {turn.status}
      </p>
      <p class="said">
        {pieces.map(({ text, isSame }, index) => (isSame ? masked(text) : <mark key={index}>{masked(text)}</mark>))}
      </p>
    </article>
  );
}

/** The words of a turn, one message after the other. */
function textOfTurn(turn: Turn | undefined): string {
  if (turn === undefined) return "";
  const said = (message: Message): string => {
    const calls = (message.tool_calls ?? []).map(({ function: called }) => `${called.name}(${called.arguments})`);
    return [`${message.role}: ${textOf(message.content)}`, ...calls].join("\n");
  };
  return [...turn.input, ...turn.output].map(said).join("\n");
}

/** `1–5, 7`. */
function ranges(seqs: readonly number[]): string {
  const found: [number, number][] = [];
  for (const seq of seqs) {
    const last = found.at(-1);
    if (last?.[1] === seq - 1) last[1] = seq;
    else found.push([seq, seq]);
  }
  return found.map(([from, to]) => (from === to ? `#${from}` : `#${from}–${to}`)).join(", ");
}
