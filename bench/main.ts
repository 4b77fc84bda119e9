/**
 * `npm run bench [-- ENGINE] [--json]`: what Perdure costs, always beside the raw limit from the same run. A missed bar
 * is marked and leaves the exit code alone: on a busy machine a number is a hint, and only a bench that could not run
 * has failed.
 */
import { parseArgs } from "node:util";
import { passes, type Bench, type Measure } from "./measure.ts";
import { headingOf, machine, tableOf } from "./report.ts";

const engines: Readonly<Record<string, () => Promise<{ readonly bench: Bench }>>> = {
  sqlite: () => import("./sqlite.ts"),
  postgres: () => import("./postgres.ts"),
  server: () => import("./server.ts"),
  stats: () => import("./stats.ts"),
  lists: () => import("./lists.ts"),
  moving: () => import("./moving.ts"),
  imports: () => import("./imports.ts"),
  keeping: () => import("./keeping.ts"),
  host: () => import("./host.ts"),
  polling: () => import("./polling.ts"),
  contention: () => import("./contention.ts"),
  watchers: () => import("./watchers.ts"),
  streams: () => import("./streams.ts"),
  logs: () => import("./logs.ts"),
  documents: () => import("./documents.ts"),
  news: () => import("./news.ts"),
  search: () => import("./search.ts"),
  branches: () => import("./branches.ts"),
  "entry-points": () => import("./entry-points.ts"),
  ai: () => import("./ai.ts"),
  mcp: () => import("./mcp.ts"),
  langgraph: () => import("./langgraph.ts"),
  transcripts: () => import("./transcripts.ts"),
  "openai-agents": () => import("./openai-agents.ts"),
  mastra: () => import("./mastra.ts"),
};

const { values, positionals } = parseArgs({ options: { json: { type: "boolean" } }, allowPositionals: true });
const [engine = "sqlite"] = positionals;
const load = Object.hasOwn(engines, engine) ? engines[engine] : undefined;
if (load === undefined || positionals.length > 1) {
  console.error(`usage: npm run bench -- [${Object.keys(engines).join("|")}] [--json]`);
  process.exit(2);
}

const { bench } = await load();
const from = machine();
const startedAt = performance.now();
const measures: Measure[] = [];
await bench((measure) => {
  measures.push(measure);
  if (process.stderr.isTTY) console.error(`measured: ${measure.name}`);
});
const seconds = Math.round((performance.now() - startedAt) / 1000);

if (values.json === true) {
  console.log(
    JSON.stringify({
      engine,
      machine: from,
      seconds,
      measures: measures.map((measure) => ({ ...measure, pass: passes(measure) ?? null })),
    }),
  );
} else {
  const missed = measures.filter((measure) => passes(measure) === false).length;
  console.log(`${headingOf(engine, from)}\n\n${tableOf(measures)}\n`);
  console.log(
    `${missed === 0 ? "every bar kept" : `${missed} missed`}, in ${seconds} s; medians of alternating rounds`,
  );
}
