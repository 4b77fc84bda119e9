import type { JSX } from "preact";
import type { Sums } from "../http/wire.ts";
import { compact, number, span } from "../view/format.ts";

interface GroupTableProps {
  /** What the groups are: `Agents`. */
  readonly title: string;
  /** The heading of their names: `Agent`. */
  readonly kind: string;
  /** By tokens, the most first. */
  readonly groups: readonly Sums[];
  readonly most: number;
  /** The page of a group, where there is one. */
  readonly linkOf?: (key: string) => string;
}

const columns = ["Turns", "Failed", "Mean", "Tokens"];

/** Sums by agent, model or user. */
export function GroupTable({ title, kind, groups, most: rowsMax, linkOf }: GroupTableProps): JSX.Element {
  const most = Math.max(1, ...groups.map(({ totalTokens }) => totalTokens));
  return (
    <section class="card">
      <h2>{title}</h2>
      {groups.length === 0 ? (
        <p class="faint">No turns in this period.</p>
      ) : (
        <table class="table table-groups">
          <thead>
            <tr>
              <th scope="col">{kind}</th>
              {columns.map((name) => (
                <th key={name} scope="col" class="num">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {groups.slice(0, rowsMax).map((one) => (
              <tr key={one.key}>
                <th scope="row">
                  {linkOf === undefined || one.key === null ? (
                    <span class="table-name">{one.key ?? "–"}</span>
                  ) : (
                    <a class="link table-name" href={linkOf(one.key)}>
                      {one.key}
                    </a>
                  )}
                </th>
                <td class="num">{number(one.turns)}</td>
                <td class="num">{number(one.failed + one.interrupted)}</td>
                <td class="num">{one.durationMs === 0 ? "–" : span(one.durationMs / one.turns)}</td>
                <td class="num">
                  <meter min={0} max={most} value={one.totalTokens} aria-hidden="true" /> {compact(one.totalTokens)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {groups.length > rowsMax && <p class="faint">The first {number(rowsMax)}, by tokens.</p>}
    </section>
  );
}
