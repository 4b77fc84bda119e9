/** What forks cost beside an append, and how much smaller archives are than the rows they take the place of. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readConversations } from "../src/adapters/replay.ts";
import { openSessions, type Session, type Sessions } from "../src/index.ts";
import { alternate, p50Of, type Bench, type Measure } from "./measure.ts";
import { turn } from "./workload.ts";

const conversations =
  process.env["PERDURE_CONVERSATIONS"] || fileURLToPath(new URL("../examples/conversations", import.meta.url));

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    const sessions = await openSessions({ store: `sqlite:${join(folder, "perdure.db")}`, sweep: false });
    for (const turns of [10, 5000]) report(await fork(sessions, { turns, at: turns }));
    report(await fork(sessions, { turns: 5000, at: 2500 }));
    for (const measure of await archive(sessions)) report(measure);
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

async function archive(sessions: Sessions): Promise<readonly Measure[]> {
  const apart: Session[] = [];
  const joined = await sessions.create();
  for (const { instructions, exchanges } of await readConversations(conversations)) {
    const session = await sessions.create(instructions === undefined ? {} : { instructions });
    for (const exchange of exchanges) {
      const { input, output } = exchange;
      await session.append({ ...turn, input, output });
      await joined.append({ ...turn, input, output });
    }
    apart.push(session);
  }
  const begun = performance.now();
  for (const session of apart) await session.archive();
  const ms = performance.now() - begun;
  await joined.archive();
  const sizes = apart.map(({ info }) => info.archive ?? { bytes: 0, packedBytes: 0 });
  const bytes = sizes.reduce((sum, size) => sum + size.bytes, 0);
  const packedBytes = sizes.reduce((sum, size) => sum + size.packedBytes, 0);
  return [
    smaller(`archive ${apart.length} real conversations, each for itself`, { bytes, packedBytes }),
    smaller("archive them as one long session", joined.info.archive ?? { bytes: 0, packedBytes: 0 }),
    {
      name: "archive a real conversation, mean",
      unit: "µs",
      ours: (ms * 1000) / apart.length,
      value: ms / apart.length,
      valueUnit: "ms",
    },
  ];
}

function smaller(name: string, { bytes, packedBytes }: { bytes: number; packedBytes: number }): Measure {
  return {
    name,
    unit: "bytes",
    ours: packedBytes,
    limit: bytes,
    limitName: "its logs as rows",
    value: bytes / packedBytes,
    valueUnit: "times",
    bar: { atLeast: 4 },
  };
}
