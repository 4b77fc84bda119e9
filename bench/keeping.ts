/** Measures forks beside an append, and the size and time of archives. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSessions, type Sessions } from "../src/index.ts";
import { archives } from "./archives.ts";
import { alternate, p50Of, type Bench, type Measure } from "./measure.ts";
import { turn } from "./workload.ts";

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    const file = join(folder, "perdure.db");
    const sessions = await openSessions({ store: `sqlite:${file}`, sweep: false });
    for (const turns of [10, 5000]) report(await fork(sessions, { turns, at: turns }));
    report(await fork(sessions, { turns: 5000, at: 2500 }));
    for (const measure of await archives(sessions, file)) report(measure);
    await sessions.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
};

async function fork(sessions: Sessions, { turns, at }: { turns: number; at: number }): Promise<Measure> {
  const parent = await sessions.create();
  for (let done = 0; done < turns; done++) await parent.append(turn);
  const other = await sessions.create();
  await p50Of(200, () => parent.fork({ at }));
  const { ours, limit, ratio } = await alternate(40, {
    ours: () => p50Of(25, () => parent.fork({ at })),
    limit: () => p50Of(25, () => other.append(turn)),
  });
  return {
    name: `fork a session of ${turns} turns${at === turns ? "" : ` at ${at}`}, p50`,
    unit: "µs",
    ours,
    limit,
    limitName: "an append",
    value: ratio,
    valueUnit: "times",
    bar: { atMost: 2 },
  };
}
