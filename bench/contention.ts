/** Writers of two processes that append turns to one session without a condition, beside the same by hand in SQL. */
import { median, type Bench, type Measure } from "./measure.ts";
import { onPostgresPlace, onSqlitePlace, race, type Raced, type RaceTask } from "./race.ts";

const processes = 2;
const writers = 4;
const times = 25;
const rounds = 5;

export const bench: Bench = async (report) => {
  report(await onSqlitePlace(({ url, file }) => beside("SQLite", { url, file })));
  report(await onPostgresPlace(({ url }) => beside("PostgreSQL", { url })));
};

/** Alternating rounds of both, in stores that both keep warm. */
async function beside(engine: string, place: Pick<RaceTask, "url" | "file">): Promise<Measure> {
  const rows: { readonly ours: Raced; readonly hand: Raced }[] = [];
  for (let round = 0; round < rounds; round++) {
    const hand = await race({ how: "hand", writers, times, ...place }, processes);
    const ours = await race({ how: "write", writers, times, ...place }, processes);
    rows.push({ ours, hand });
  }
  return {
    name: `${engine}: ${processes} processes of ${writers} writers add ${times} turns each to one session`,
    unit: "ms",
    ours: median(rows.map(({ ours }) => ours.ms)),
    limit: median(rows.map(({ hand }) => hand.ms)),
    limitName: `compare and insert, ${median(rows.map(({ hand }) => hand.refused))} refused`,
    value: median(rows.map(({ ours, hand }) => ours.ms / hand.ms)),
    valueUnit: "times",
    bar: { atMost: 3 },
  };
}
