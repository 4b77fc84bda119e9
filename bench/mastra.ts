/**
 * Messages of Mastra: 1 000 exchanges of a thread, each in two calls, with turns, beside Mastra's own store on LibSQL and its store in
 * memory, by processor time. Needs `PERDURE_TEST_THOROUGH=1 node test/frameworks/install.ts`. LibSQL is left out where `@mastra/libsql`
 * is not installed: `npm install --no-save --prefix test/frameworks/mastra @mastra/libsql`.
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { perdureMemory } from "../src/adapters/mastra.ts";
import { openSessions } from "../src/index.ts";
import { resolvePackages } from "../test/frameworks/resolve.ts";
import type { Bench } from "./measure.ts";

resolvePackages(new URL("../test/frameworks/mastra/package.json", import.meta.url).href, [
  "@mastra/core",
  "@mastra/memory",
  "@mastra/libsql",
]);

const exchanges = 1000;
/** Exchanges of which the processor time is compared. */
const window = 100;

/** The methods of a memory that are called. */
interface Memory {
  saveThread(request: { readonly thread: object }): Promise<unknown>;
  saveMessages(request: { readonly messages: readonly object[] }): Promise<unknown>;
  listMessages(request: object): Promise<unknown>;
}

interface OwnStore {
  init?(): Promise<void>;
  getStore(domain: "memory"): Promise<Memory | undefined>;
}

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    const file = join(folder, "threads.db");
    const sessions = await openSessions({ store: `sqlite:${file}`, sweep: false });
    const ours = await run(await perdureMemory(sessions));
    await sessions.close();
    const bytes = statSync(file).size / exchanges;
    report({
      name: "SQLite: bytes of an exchange, with turns",
      unit: "bytes",
      ours: bytes,
      value: bytes,
      valueUnit: "bytes",
    });
    for (const { name, store } of await ownStores(folder)) {
      await store.init?.();
      const memory = await store.getStore("memory");
      if (memory === undefined) throw new Error(`${name} has no memory`);
      const own = await run(memory);
      const compared = { unit: "µs" as const, ours: ours.late, limit: own.late, limitName: name };
      report({
        name: "processor time of an exchange at the end",
        ...compared,
        value: ours.late / own.late,
        valueUnit: "times",
      });
    }
    report({
      name: `the same, the last ${window} of ${exchanges} beside the first`,
      unit: "µs",
      ours: ours.late,
      limit: ours.early,
      limitName: "the first ones",
      value: ours.late / ours.early,
      valueUnit: "times",
      bar: { atMost: 1.5 },
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
};

/** Mastra's own stores that are installed. The project does not depend on the packages. */
async function ownStores(folder: string): Promise<readonly { readonly name: string; readonly store: OwnStore }[]> {
  const [core, libsql]: readonly string[] = ["@mastra/core/storage", "@mastra/libsql"];
  const { InMemoryStore } = (await import(core!)) as { readonly InMemoryStore: new () => OwnStore };
  const inMemory = { name: "InMemoryStore, which stores nothing", store: new InMemoryStore() };
  try {
    const { LibSQLStore } = (await import(libsql!)) as {
      readonly LibSQLStore: new (options: { id: string; url: string }) => OwnStore;
    };
    const store = new LibSQLStore({ id: "bench", url: `file:${join(folder, "libsql.db")}` });
    return [{ name: "LibSQLStore", store }, inMemory];
  } catch (error) {
    if ((error as { readonly code?: string }).code !== "ERR_MODULE_NOT_FOUND") throw error;
    return [inMemory];
  }
}

/** Microseconds of an exchange after the first ones, and at the end: the last 10 messages are read, a question and an answer saved. */
async function run(memory: Memory): Promise<{ readonly early: number; readonly late: number }> {
  const now = Date.now();
  const thread = { id: "bench", resourceId: "ada", title: "Bench", createdAt: new Date(now), updatedAt: new Date(now) };
  await memory.saveThread({ thread });
  const message = (at: number, role: string, text: string): object => ({
    id: `${role}-${at}`,
    threadId: "bench",
    resourceId: "ada",
    role,
    type: "v2",
    createdAt: new Date(now + at),
    content: { format: 2, parts: [{ type: "text", text }] },
  });
  const last = {
    threadId: "bench",
    perPage: 10,
    includeTotal: false,
    orderBy: { field: "createdAt", direction: "DESC" },
  };
  const times: number[] = [];
  for (let at = 0; at < exchanges; at++) {
    const begun = process.cpuUsage();
    await memory.listMessages(last);
    await memory.saveMessages({ messages: [message(2 * at, "user", "q".repeat(120))] });
    await memory.saveMessages({ messages: [message(2 * at + 1, "assistant", "a".repeat(800))] });
    const { user, system } = process.cpuUsage(begun);
    times.push(user + system);
  }
  const mean = (list: readonly number[]): number => list.reduce((sum, one) => sum + one, 0) / list.length;
  return { early: mean(times.slice(window, 2 * window)), late: mean(times.slice(-window)) };
}
