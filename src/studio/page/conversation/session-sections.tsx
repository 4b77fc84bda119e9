import type { JSX } from "preact";
import { save } from "./actions.ts";
import { sessionPath } from "../http/api.ts";
import { bytes, counted, number } from "../view/format.ts";
import { shown } from "../view/mask.ts";
import { Ago, Until } from "../view/parts.tsx";
import { Section } from "./section.tsx";
import type { Rating, SessionParts } from "./session-parts.ts";

/** The summaries, pins and ratings of a session, its attachments and its shares, as far as it has some. */
export function SessionSections({
  id,
  parts,
  revoke,
}: {
  readonly id: string;
  readonly parts: SessionParts;
  /** Revokes a share; absent for a key that may not write. */
  readonly revoke: ((share: string) => void) | undefined;
}): JSX.Element {
  const { pinned, leftOut, summaries, ratings, attachments, shares } = parts;
  return (
    <>
      {summaries.length + pinned.length + leftOut.length > 0 && (
        <Section title="Memory">
          {pinned.length > 0 && <p>Pinned: {turnsText(pinned)}</p>}
          {leftOut.length > 0 && <p>Left out: {turnsText(leftOut)}</p>}
          {summaries.map(({ from, to, text, at, agent }) => (
            <details key={`${from} ${to} ${agent}`} class="fold">
              <summary>
                Summary of turns {from} to {to}, <Ago at={at} />
              </summary>
              <p class="said said-small">{shown(text)}</p>
              <p class="faint">by {agent}</p>
            </details>
          ))}
        </Section>
      )}
      {ratings.length > 0 && (
        <Section title="Ratings">
          <ul class="branches">
            {ratings.map((rating) => (
              <li key={`${rating.turn} ${rating.by}`}>
                <a class="link" href={`#turn-${rating.turn}`}>
                  turn {rating.turn}
                </a>
                <span class="clip faint">{shown(rating.comment ?? "")}</span>
                <RatingMark rating={rating} />
              </li>
            ))}
          </ul>
        </Section>
      )}
      {attachments.length > 0 && (
        <Section title="Attachments">
          <ul class="branches">
            {attachments.map(({ hash, type, length, name }) => (
              <li key={hash}>
                <span class="clip">
                  {name === undefined ? <code>{hash.slice(0, 12)}…</code> : shown(name)}
                  <br />
                  <span class="faint">
                    {type} · {bytes(length)}
                  </span>
                </span>
                <button
                  type="button"
                  class="quiet"
                  onClick={() => void save(sessionPath(id, `/attachments/${hash}`), name ?? hash)}
                >
                  Download
                </button>
              </li>
            ))}
          </ul>
        </Section>
      )}
      {shares.length > 0 && (
        <Section title="Shares">
          <p>{counted(shares.length, "link")} to read this session.</p>
          <ul class="branches">
            {shares.map((share) => (
              <li key={share.id}>
                <code class="clip">{share.id}</code>
                <span class="faint">
                  <Until at={share.expiresAt} />
                </span>
                {revoke !== undefined && (
                  <button
                    type="button"
                    class="quiet"
                    aria-label={`Revoke link ${share.id}`}
                    onClick={() => revoke(share.id)}
                  >
                    Revoke
                  </button>
                )}
              </li>
            ))}
          </ul>
        </Section>
      )}
    </>
  );
}

export function RatingMark({ rating: { rating, by, comment } }: { readonly rating: Rating }): JSX.Element {
  const text = typeof rating === "number" ? number(rating) : rating === "up" ? "approved" : "disapproved";
  const about = [by === null ? undefined : `by ${by}`, comment && shown(comment)].filter((one) => one !== undefined);
  return (
    <span class={rating === "down" ? "tag tag-error" : "tag tag-good"} title={about.join(": ")}>
      {text}
    </span>
  );
}

function turnsText(turns: readonly number[]): string {
  return `${turns.length === 1 ? "turn" : "turns"} ${turns.map(number).join(", ")}`;
}
