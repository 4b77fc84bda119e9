/** The engines of the crash tests: their stores, their disturbances, and the contents of their disks. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { Sessions } from "../../src/index.ts";
import { query, someDatabase } from "../postgres/server.ts";
import { doctor, type Finding } from "../../src/admin.ts";
import { chanceOf } from "../support/chance.ts";
import { isThorough } from "../support/rounds.ts";

/** An engine that runs for the tests of one file. */
export interface Engine extends AsyncDisposable {
  /** Makes a store with nothing in it; gives back its URL. */
  fresh(): Promise<string>;
  /** Disturbances while a program works: connections end, the server crashes and restarts. Empty for an engine without a server. */
  readonly blows: readonly (() => Promise<void>)[];
  /** True where the files or tables of this store contain the text. */
  holds(store: string, text: string): Promise<boolean>;
}

export type EngineName = "SQLite" | "PostgreSQL";
export const engineNames: readonly EngineName[] = ["SQLite", "PostgreSQL"];

/** The engines that a run takes for tests that repeat much: both in a thorough run, this one in a quick run. */
export function enginesOfRun(quick: EngineName): readonly EngineName[] {
  return isThorough ? engineNames : [quick];
}

/** Places between the calls of a store, as numbers of calls before them: `first`, and each `step` calls more. */
export interface Places {
  readonly first: number;
  readonly step: number;
}

/**
 * The places where a test of an adapter kills a process. An adapter makes the same calls on every engine, and the crash
 * tests kill the commits of each engine itself. A thorough run takes each second place on SQLite and each fourth one on
 * PostgreSQL, from a place of chance, so several runs take all. A quick run takes each `quick`th place.
 */
export function placesOf(context: TestContext, engine: EngineName, quick = 3): Places {
  if (!isThorough) return { first: 0, step: quick };
  const step = engine === "SQLite" ? Math.min(quick, 2) : 4;
  return { first: Math.floor(chanceOf(context)() * step), step };
}

/** Starts an engine when a test first needs it, and stops all together. */
export class Engines implements AsyncDisposable {
  readonly #running = new Map<EngineName, Promise<Engine>>();

  async get(name: EngineName): Promise<Engine> {
    const running = this.#running.get(name) ?? (name === "SQLite" ? sqlite() : postgres());
    this.#running.set(name, running);
    return await running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const running of this.#running.values()) await (await running)[Symbol.asyncDispose]();
  }
}

async function sqlite(): Promise<Engine> {
  const root = await mkdtemp(join(tmpdir(), "perdure-crash-"));
  let stores = 0;
  return {
    async fresh() {
      const folder = join(root, String(++stores));
      mkdirSync(folder);
      return `sqlite:${join(folder, "store.db")}`;
    },
    blows: [],
    async holds(store, text) {
      const folder = join(store.slice("sqlite:".length), "..");
      const files = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name))));
      return files.some((file) => file.includes(text));
    },
    [Symbol.asyncDispose]: () => rm(root, { recursive: true }),
  };
}

async function postgres(): Promise<Engine> {
  const database = await someDatabase();
  const { server } = database;
  const stores: string[] = [];
  const cut = async (): Promise<void> => {
    const others = "datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()";
    for (const store of stores)
      await query(store, `select pg_terminate_backend(pid) from pg_stat_activity where ${others}`);
  };
  const crash = async (): Promise<void> => {
    await server?.stopImmediately();
    await server?.start();
  };
  return {
    async fresh() {
      const store = await database.freshStore();
      stores.push(store);
      return store;
    },
    blows: server === undefined ? [cut] : [cut, crash],
    async holds(store, text) {
      const tables = await query(
        store,
        "select oid::regclass as name from pg_class where relkind = 'r' and relnamespace = 'perdure'::regnamespace",
      );
      assert(tables.length > 0);
      for (const { name } of tables) {
        const holding = `select 1 from ${String(name)} one where one::text like '%' || $1 || '%' limit 1`;
        if ((await query(store, holding, [text])).length > 0) return true;
      }
      return false;
    },
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}

/** The doctor finds nothing, except what is `known`. */
export async function assertSound(sessions: Sessions, known?: RegExp): Promise<void> {
  const found: Finding[] = [];
  await doctor(sessions, { onFinding: (finding) => found.push(finding) });
  assert.deepEqual(
    found.filter(({ what }) => known?.test(what) !== true),
    [],
  );
}
