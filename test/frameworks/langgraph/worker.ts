/** Runs a graph whose calls of the saver are counted; it is killed before one of them. Prints each node that it runs, and its end. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { Annotation, Command, END, interrupt, Send, START, StateGraph } from "@langchain/langgraph";
import { appendFileSync } from "node:fs";
import { openSessions } from "../../../src/index.ts";

const { perdureSaver } = await import("../../../src/adapters/langgraph.ts");
const [store = "", log = "", callsMax = "Infinity", durability = "async"] = process.argv.slice(2);

await using sessions = await openSessions({ store, sweep: false });
const saver = perdureSaver(sessions);
let calls = 0;
for (const name of ["getTuple", "put", "putWrites"] as const) {
  const call = saver[name].bind(saver) as (...args: unknown[]) => Promise<unknown>;
  const counted = async (...args: unknown[]): Promise<unknown> => {
    if (++calls > Number(callsMax)) process.kill(process.pid, "SIGKILL");
    const result = await call(...args);
    // What was acknowledged is durable: the file is written at once.
    if (name === "putWrites") appendFileSync(log, `stored ${String(args[2])}\n`);
    return result;
  };
  Object.assign(saver, { [name]: counted });
}

const State = Annotation.Root({
  words: Annotation<string[]>({ reducer: (a, b) => a.concat(b), default: () => [] }),
  word: Annotation<string>(),
});
const ran = (name: string, task: unknown): void => appendFileSync(log, `ran ${name} ${String(task)}\n`);
const taskOf = (config: { metadata?: Record<string, unknown>; configurable?: Record<string, unknown> }): unknown =>
  String(config.configurable?.["checkpoint_ns"] ?? "")
    .split(":")
    .at(-1);

const inner = new StateGraph(State)
  .addNode("sub", (_, config) => {
    ran("sub", taskOf(config));
    return { words: ["sub"] };
  })
  .addEdge(START, "sub")
  .addEdge("sub", END)
  .compile();

const app = new StateGraph(State)
  .addNode("first", (_, config) => {
    ran("first", taskOf(config));
    return { words: ["first"] };
  })
  .addNode("part", ({ word }, config) => {
    ran("part", taskOf(config));
    return { words: [word] };
  })
  .addNode("inner", async (_, config) => {
    await inner.invoke({ words: [] }, config);
    return { words: ["inner"] };
  })
  .addNode("ask", () => ({ words: [interrupt<string, string>("go on?")] }))
  .addEdge(START, "first")
  .addConditionalEdges("first", () => ["a", "b"].map((word) => new Send("part", { word })), ["part"])
  .addEdge("part", "inner")
  .addEdge("inner", "ask")
  .addEdge("ask", END)
  .compile({ checkpointer: saver });

const config = { configurable: { thread_id: "t" }, durability: durability as "async" | "sync" };
/** True where a person has not answered yet. */
const waits = async (): Promise<boolean> => {
  const { next, tasks } = await app.getState(config);
  return next.includes("ask") && tasks.some(({ interrupts }) => interrupts.length > 0);
};
const { checkpoint_id: id } = (await app.getState(config)).config.configurable ?? {};
if (id === undefined) await app.invoke({ words: ["start"] }, config);
else if (!(await waits())) await app.invoke(null, config);
if (await waits()) await app.invoke(new Command({ resume: "yes" }), config);
console.log(JSON.stringify({ words: (await app.getState(config)).values.words }));
