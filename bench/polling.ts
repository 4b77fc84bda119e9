/**
 * The cost of many waiters and writers of one session: calls of the store, commits, and the time of eight processes that
 * append to one session, beside the same by hand in SQL in the same run.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { sessionsOn } from "../src/sessions/sessions.ts";
import { openMemory } from "../src/store/memory.ts";
import { countedStore } from "./counted-store.ts";
import type { Bench, Measure } from "./measure.ts";
import { onPostgresPlace, onSqlitePlace, race as raceOf, type Raced, type RaceTask } from "./race.ts";

const processes = 8;
const times = 25;

const race = (task: Omit<RaceTask, "writers">): Promise<Raced> => raceOf({ ...task, writers: 1 }, processes);

export const bench: Bench = async (report) => {
  report(await waiters());
  report(await silentAnswers());
  for (const measure of await onSqlite()) report(measure);
  for (const measure of await onPostgres()) report(measure);
};

async function perSecond(calls: () => number, seconds: number): Promise<number> {
  const before = calls();
  await sleep(seconds * 1000);
  return (calls() - before) / seconds;
}

function calls(name: string, ours: number, atMost: number): Measure {
  return { name, unit: "calls/s", ours, value: ours, valueUnit: "calls/s", bar: { atMost } };
}

async function waiters(): Promise<Measure> {
  const { store, calls: count } = countedStore({ on: openMemory() });
  const sessions = sessionsOn(store, { sweep: false });
  const session = await sessions.create({ id: "s" });
  const lease = await (await sessions.get("s")).lease();
  const waiting = Array.from({ length: 32 }, async () =>
    (await sessions.get("s")).exclusive(() => Promise.resolve(), { busy: "queue", wait: "5m" }),
  );
  await sleep(2000);
  const ours = await perSecond(count, 10);
  await lease.release();
  await Promise.all(waiting);
  await session.refresh();
  await sessions.close();
  return calls("32 waiters of one held session", ours, 8);
}

async function silentAnswers(): Promise<Measure> {
  const { store, calls: count } = countedStore({ on: openMemory() });
  const sessions = sessionsOn(store, { sweep: false });
  const turns = await Promise.all(
    Array.from({ length: 200 }, async (_, index) => (await sessions.create({ id: `s${index}` })).begin("q")),
  );
  const ours = await perSecond(count, 10);
  await Promise.all(turns.map((one) => one.seal()));
  await sessions.close();
  return calls("200 silent answers", ours, 1.1);
}

async function onSqlite(): Promise<readonly Measure[]> {
  return await onSqlitePlace(async ({ url, file }) => {
    const hand = await race({ how: "hand", url, file, times });
    const ours = await race({ how: "append", url, times });
    const queue = await race({ how: "queue", url, times });
    return raced("SQLite", { ours, hand, queue, atMostMs: 500 });
  });
}

async function onPostgres(): Promise<readonly Measure[]> {
  return await onPostgresPlace(async ({ url, version }) => {
    const hand = await race({ how: "hand", url, times });
    const before = await version();
    const ours = await race({ how: "append", url, times });
    const written = (await version()) - before;
    const queue = await race({ how: "queue", url, times });
    return [
      ...raced("PostgreSQL", { ours, hand, queue, atMostMs: 1000 }),
      {
        name: "PostgreSQL: changes of the record for 200 turns",
        unit: "commits",
        ours: written,
        limit: processes * times,
        limitName: "one for each turn",
        value: written / (processes * times),
        valueUnit: "times",
        bar: { atMost: 1.2 },
      },
    ];
  });
}

function raced(
  engine: string,
  { ours, hand, queue, atMostMs }: { ours: Raced; hand: Raced; queue: Raced; atMostMs: number },
): readonly Measure[] {
  const name = `${engine}: ${processes} processes append ${times} turns each to one session`;
  return [
    {
      name,
      unit: "ms",
      ours: ours.ms,
      limit: hand.ms,
      limitName: `update … where version, ${hand.refused} refused`,
      value: ours.ms / hand.ms,
      valueUnit: "times",
      bar: { atMost: 4 },
    },
    {
      name: `${engine}: the same, in all`,
      unit: "ms",
      ours: ours.ms,
      value: ours.ms,
      valueUnit: "ms",
      bar: { atMost: atMostMs },
    },
    {
      name: `${engine}: the slowest turn of these, ${ours.refused} refused`,
      unit: "ms",
      ours: ours.slowest,
      limit: ours.median,
      limitName: `the median; by hand ${Math.round(hand.slowest / hand.median)}×`,
      value: ours.slowest / ours.median,
      valueUnit: "times",
      bar: { atMost: 20 },
    },
    {
      name: `${engine}: the same in exclusive({ busy: "queue" })`,
      unit: "ms",
      ours: queue.ms,
      limit: queue.slowest,
      limitName: "the slowest turn",
      value: queue.ms / (processes * times),
      valueUnit: "ms",
    },
    {
      name: `${engine}: calls of the store for one turn of these`,
      unit: "calls",
      ours: queue.calls / (processes * times),
      value: queue.calls / (processes * times),
      valueUnit: "calls",
      bar: { atMost: 5 },
    },
  ];
}
