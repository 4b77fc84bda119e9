/**
 * Transcripts of the ADK and of Genkit with their turns: 1 000 exchanges in one session, beside the stores in memory of both, by processor
 * time. Needs `node test/frameworks/install.ts`.
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { adkSessions } from "../src/adapters/adk.ts";
import { genkitStore, type GenkitStore } from "../src/adapters/genkit.ts";
import { openSessions, type Sessions } from "../src/index.ts";
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "../test/frameworks/adk/resolve.ts";
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "../test/frameworks/genkit/resolve.ts";
import type { Bench } from "./measure.ts";

const steps = 1000;
/** Steps of which the processor time is compared. */
const window = 100;

interface AdkService {
  createSession(request: object): Promise<object>;
  appendEvent(append: { readonly session: object; readonly event: object }): Promise<unknown>;
}

type SnapshotStore = Pick<GenkitStore, "getSnapshot" | "saveSnapshot">;

/** The work of one step. */
type Step = (step: number) => Promise<void>;

const words = (step: number): string => `${step} ${"word ".repeat(100)}`;

export const bench: Bench = async (report) => {
  const adk = (await load("adk", "@google/adk")) as {
    readonly InMemorySessionService: new () => AdkService;
    readonly createEvent: (event: object) => object;
  };
  const genkit = (await load("genkit", "genkit/beta")) as { readonly InMemorySessionStore: new () => SnapshotStore };
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    const compared: readonly [name: string, ours: (sessions: Sessions) => Promise<Step>, stock: Promise<Step>][] = [
      [
        "ADK",
        (sessions) => exchangesOf(adkSessions(sessions), adk.createEvent),
        exchangesOf(new adk.InMemorySessionService(), adk.createEvent),
      ],
      [
        "Genkit",
        async (sessions) => snapshotsOf(genkitStore(sessions)),
        snapshotsOf(new genkit.InMemorySessionStore()),
      ],
    ];
    for (const [name, begin, stock] of compared) {
      const file = join(folder, `${name}.db`);
      const sessions = await openSessions({ store: `sqlite:${file}`, sweep: false });
      const ours = await timesOf(await begin(sessions));
      await sessions.close();
      const limit = await timesOf(await stock);
      const bytes = statSync(file).size / steps;
      report({
        name: `${name}, SQLite: bytes of an exchange, with its turn`,
        unit: "bytes",
        ours: bytes,
        value: bytes,
        valueUnit: "bytes",
        bar: { atMost: 6000 },
      });
      report({
        name: `${name}: processor time of an exchange, the last ${window} of ${steps}`,
        unit: "µs",
        ours: ours.late,
        limit: limit.late,
        limitName: "its store in memory",
        value: ours.late / ours.early,
        valueUnit: "times",
        // A snapshot of Genkit has all messages: each of them is compared with the one that was saved before.
        bar: { atMost: 1.5 },
      });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
};

/** A package of the tests; its types are in its own folder. */
async function load(folder: string, name: string): Promise<unknown> {
  const find = createRequire(fileURLToPath(new URL(`../test/frameworks/${folder}/package.json`, import.meta.url)));
  return await import(pathToFileURL(find.resolve(name)).href);
}

/** A question and an answer, each an event. */
async function exchangesOf(service: AdkService, createEvent: (event: object) => object): Promise<Step> {
  const session = await service.createSession({ appName: "bench", userId: "ada", sessionId: "s" });
  return async (step) => {
    for (const role of ["user", "model"]) {
      const content = { role, parts: [{ text: words(step) }] };
      await service.appendEvent({ session, event: createEvent({ author: role, content }) });
    }
  };
}

/** A question and an answer behind those before them, in one snapshot. */
async function snapshotsOf(store: SnapshotStore): Promise<Step> {
  const messages: object[] = [];
  return async (step) => {
    for (const role of ["user", "model"]) messages.push({ role, content: [{ text: words(step) }] });
    await store.saveSnapshot(`snap-${step}`, () => ({
      sessionId: "s",
      ...(step === 1 ? {} : { parentId: `snap-${step - 1}` }),
      createdAt: new Date(step * 1000).toISOString(),
      status: "completed",
      state: { sessionId: "s", messages: [...messages] },
    }));
  };
}

/** Microseconds of a step after the first steps, and at the end. */
async function timesOf(step: Step): Promise<{ readonly early: number; readonly late: number }> {
  const times: number[] = [];
  for (let number = 1; number <= steps; number++) {
    const begun = process.cpuUsage();
    await step(number);
    const { user, system } = process.cpuUsage(begun);
    times.push(user + system);
  }
  const mean = (list: readonly number[]): number => list.reduce((sum, one) => sum + one, 0) / list.length;
  return { early: mean(times.slice(window, 2 * window)), late: mean(times.slice(-window)) };
}
