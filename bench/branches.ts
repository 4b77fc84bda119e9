/**
 * A switch between two branches beside an append to such a session, on both engines, of sessions with few and with many branches:
 * with the tree of the branches known to the process, and with a session that the process has just opened. Each is measured in
 * time and in processor time of this process.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSessions, type Session, type Sessions } from "../src/index.ts";
import { openPostgres } from "../src/store/postgres/index.ts";
import { PostgresServer } from "../test/postgres/server.ts";
import { alternate, median, type Bench, type Measure } from "./measure.ts";
import { turn } from "./workload.ts";

const rounds = 30;
const callsOfRound = 16;
const turnsOfBranch = 20;

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    await using sessions = await openSessions({ store: `sqlite:${join(folder, "store.db")}`, sweep: false });
    await measure("SQLite", sessions, report);
  } finally {
    rmSync(folder, { recursive: true });
  }
  await using server = await PostgresServer.start({ fsync: true });
  await using sessions = await openSessions({ store: await openPostgres({ url: server.url() }), sweep: false });
  await measure("PostgreSQL", sessions, report);
};

type Call = (session: Session, call: number) => Promise<unknown>;

async function measure(engine: string, sessions: Sessions, report: (measure: Measure) => void): Promise<void> {
  for (const branches of [2, 20]) await measureWith({ engine, branches }, sessions, report);
}

async function measureWith(
  { engine, branches }: { readonly engine: string; readonly branches: number },
  sessions: Sessions,
  report: (measure: Measure) => void,
): Promise<void> {
  const made = (name: string): Promise<Session> => branched(sessions, { id: `${name} ${branches}`, branches });
  const [switched, appended] = [await made("switched"), await made("appended")];
  const change: Call = (session, call) => session.switchTo(call % 2 === 0 ? "1" : "2");
  const append: Call = (session) => session.append(turn);
  const opened = (id: string) => (): Promise<Session> => sessions.get(id);
  for (const [where, ours, limit] of [
    ["", () => Promise.resolve(switched), () => Promise.resolve(appended)],
    [" of a session just opened", opened(switched.id), opened(appended.id)],
  ] as const) {
    for (const [clock, unitName] of [
      [wall, "p50"],
      [processor, "processor time"],
    ] as const) {
      const compared = await alternate(rounds, {
        ours: () => medianOf(clock, ours, change),
        limit: () => medianOf(clock, limit, append),
      });
      report({
        name: `${engine}, ${branches} branches: switch${where}, ${unitName}`,
        unit: "µs",
        ...compared,
        limitName: "an append to it",
        value: compared.ratio,
        valueUnit: "times",
        bar: { atMost: 2 },
      });
    }
  }
}

/** A session with so many branches, which share half of their turns. */
async function branched(
  sessions: Sessions,
  { id, branches }: { readonly id: string; readonly branches: number },
): Promise<Session> {
  const session = await sessions.create({ id });
  for (let index = 0; index < turnsOfBranch; index++) await session.append(turn);
  const turns = Array.from({ length: turnsOfBranch / 2 }, () => turn);
  for (let count = 1; count < branches; count++) {
    const { version } = await session.look();
    await session.write({ turns: { from: turnsOfBranch / 2 + 1, turns, keep: true }, onto: version });
  }
  return session;
}

/** Microseconds. */
type Clock = () => number;

const wall: Clock = () => performance.now() * 1000;

const processor: Clock = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

/** The median of the calls, without what `open` takes. */
async function medianOf(clock: Clock, open: () => Promise<Session>, call: Call): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < callsOfRound; index++) {
    const session = await open();
    const startedAt = clock();
    await call(session, index);
    times.push(clock() - startedAt);
  }
  return median(times);
}
