import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { call } from "../http/api.ts";
import { useRound } from "../http/round.ts";
import { states, type Page, type Session, type Stats, type Sums } from "../http/wire.ts";
import { daysOf, plotsOf } from "../usage/days.ts";
import { Figure } from "../usage/figure.tsx";
import { GroupTable } from "../usage/group-table.tsx";
import { Plot } from "../usage/plot.tsx";
import { bytes, compact, counted, number, span } from "../view/format.ts";
import { shown } from "../view/mask.ts";
import { Ago, Failure, Loading, StateMark, href, sessionHref, useLoaded } from "../view/parts.tsx";

const periods = [
  { days: 7, name: "7 days" },
  { days: 30, name: "30 days" },
  { days: 90, name: "90 days" },
] as const;
const dayMs = 86_400_000;

/** The store in numbers: usage by day and agent, what is stuck, hosts. */
export function OverviewPage(): JSX.Element {
  const days = useSignal(30);
  // The sums read the whole store, so changes are gathered.
  const round = useRound(15_000);
  const since = new Date(Math.floor(Date.now() / dayMs) * dayMs - (days.value - 1) * dayMs).toISOString();
  const { value, error, reload } = useLoaded(
    async (signal) => {
      const sums = async (by: string): Promise<Stats> =>
        await call<Stats>("/v1/stats", { query: { by, since, limit: 100 }, signal });
      const [byDay, byAgent] = await Promise.all([sums("day"), sums("agent")]);
      return { byDay, byAgent };
    },
    [days.value, round],
  );
  return (
    <div class="page page-scroll" tabIndex={0} role="region" aria-label="Overview">
      <header class="bar">
        <h1>Overview</h1>
        <span class="bar-end" role="group" aria-label="Period">
          {periods.map(({ days: length, name }) => (
            <button
              key={length}
              type="button"
              class="chip"
              aria-pressed={days.value === length}
              onClick={() => (days.value = length)}
            >
              {name}
            </button>
          ))}
        </span>
      </header>
      {error !== undefined ? (
        <Failure error={error} retry={reload} />
      ) : value === undefined ? (
        <Loading />
      ) : (
        <Numbers byDay={value.byDay} agents={value.byAgent.groups["agent"] ?? []} days={days.value} />
      )}
      <div class="grid">
        <Stuck round={round} />
        <Hosts round={round} />
      </div>
    </div>
  );
}

function Numbers({
  byDay,
  agents,
  days,
}: {
  readonly byDay: Stats;
  readonly agents: readonly Sums[];
  readonly days: number;
}): JSX.Element {
  const { sessions, turns, storage, handoffs } = byDay;
  const latency = turns.durationPercentilesMs;
  const plots = plotsOf(daysOf(byDay, Date.parse(byDay.at), days));
  return (
    <>
      <dl class="figures-row">
        <Figure name="Sessions" value={compact(sessions.total)}>
          {states
            .filter((state) => sessions.states[state] > 0)
            .map((state) => (
              <a key={state} class="figure-link" href={href(`/?state=${state}`)}>
                {compact(sessions.states[state])} {state}
              </a>
            ))}
        </Figure>
        <Figure name="Turns" value={compact(turns.turns)}>
          {number(turns.failed)} failed · {number(turns.interrupted)} interrupted
        </Figure>
        <Figure name="Tokens" value={compact(turns.totalTokens)}>
          {compact(turns.inputTokens)} in · {compact(turns.outputTokens)} out
        </Figure>
        <Figure name="Latency p50" value={latency === null ? "–" : span(latency.p50)}>
          {latency === null ? "no durations" : `p95 ${span(latency.p95)}`}
        </Figure>
        <Figure name="Storage" value={bytes(storage.bytes)}>
          {bytes(storage.bytesPerSession)} a session · {counted(handoffs.active, "handoff")} active
          {storage.attachments.count > 0 &&
            ` · ${counted(storage.attachments.count, "attachment")}, ${bytes(storage.attachments.bytes)}`}
        </Figure>
      </dl>
      <div class="grid">
        <Plot {...plots.tokens} />
        <Plot {...plots.turns} />
        <Plot {...plots.latency} />
        <GroupTable
          title="Agents"
          kind="Agent"
          groups={agents}
          most={12}
          linkOf={(agent) => href(`/?agent=${encodeURIComponent(agent)}`)}
        />
      </div>
    </>
  );
}

interface StuckSession {
  readonly session: Session;
  readonly why: string;
}

/** Sessions whose lease holder is dead, that wait for a decision, or that are being written. */
function Stuck({ round }: { readonly round: number }): JSX.Element {
  const { value, error } = useLoaded(
    async (signal) => {
      const [held, waiting] = await Promise.all([
        call<Page<Session>>("/v1/sessions", { query: { held: "true", limit: 1000 }, signal }),
        call<Page<Session>>("/v1/sessions", { query: { waiting: "true", limit: 50 }, signal }),
      ]);
      const dead = held.items.filter(({ leaseHolder }) => leaseHolder?.alive === false);
      const stuck: StuckSession[] = [
        ...dead.map((session) => ({ session, why: "the lease holder is dead" })),
        ...waiting.items.map((session) => ({ session, why: `waits: ${shown(session.waitingTurn?.reason ?? "")}` })),
      ];
      return { stuck, running: held.items.filter(({ leaseHolder }) => leaseHolder?.alive === true) };
    },
    [round],
  );
  return (
    <section class="card">
      <h2>Stuck and running</h2>
      {error !== undefined ? (
        <Failure error={error} />
      ) : value === undefined ? (
        <Loading lines={3} />
      ) : value.stuck.length + value.running.length === 0 ? (
        <p class="faint">No session has a lease, and none waits.</p>
      ) : (
        <ul class="lines">
          {value.stuck.map(({ session, why }) => (
            <Line key={session.id} session={session} why={why} isStuck />
          ))}
          {value.running.slice(0, 20).map((session) => (
            <Line
              key={session.id}
              session={session}
              why={`held by ${session.leaseHolder?.host ?? "a process"}`}
              isStuck={false}
            />
          ))}
        </ul>
      )}
    </section>
  );
}

function Line({ session, why, isStuck }: StuckSession & { readonly isStuck: boolean }): JSX.Element {
  return (
    <li>
      <a class="line" href={sessionHref(session.id)}>
        <StateMark state={isStuck ? "waiting" : "open"} />
        <span class="clip">{session.title === null ? session.id : shown(session.title)}</span>
        <span class="faint clip">{why}</span>
        <span class="faint num">
          <Ago at={session.lastActivityAt} />
        </span>
      </a>
    </li>
  );
}

interface Host {
  /** Absent, as the machine and the process, for a key without the right admin. */
  readonly address?: string;
  readonly host?: string;
  readonly pid?: number;
  readonly seenAt: string;
  readonly alive: boolean;
}

function Hosts({ round }: { readonly round: number }): JSX.Element {
  const { value, error } = useLoaded(async (signal) => await call<Page<Host>>("/v1/hosts", { signal }), [round]);
  return (
    <section class="card">
      <h2>Hosts of live sessions</h2>
      {error !== undefined ? (
        <Failure error={error} />
      ) : value === undefined ? (
        <Loading lines={2} />
      ) : value.items.length === 0 ? (
        <p class="faint">None. perdure host run starts one.</p>
      ) : (
        <ul class="lines">
          {value.items.map((host, index) => (
            <li key={host.address ?? index} class="line">
              <StateMark state={host.alive ? "active" : "failed"} />
              <span class="clip">{host.address ?? "a host"}</span>
              {host.address !== undefined && (
                <span class="faint clip">
                  {host.host} · pid {host.pid}
                </span>
              )}
              <span class="faint num">
                <Ago at={host.seenAt} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
