/** `perdure migrate`: the schema by hand, and its refusals. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Workplace } from "../cli/command-line.ts";
import { migratePostgres } from "../../src/store/postgres/index.ts";
import { migrations } from "../../src/store/postgres/schema/schema.ts";
import { PostgresServer, query } from "./server.ts";

/** The newest version of the schema. */
const known = migrations.length;

let server: PostgresServer;
let place: Workplace;
before(async () => {
  server = await PostgresServer.start();
  place = await Workplace.open();
});
after(async () => {
  await place[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const schemas = "select nspname from pg_namespace where nspname in ('perdure', 'agents', 'printed') order by 1";

test("a dry run lists the missing steps and changes nothing, a run applies them, and a second run has nothing to do", async () => {
  const migrate = async (...args: string[]) => {
    const { code, stdout, stderr } = await place.run(["migrate", "--store", server.url(), ...args]);
    assert.equal(code, 0, stderr);
    return { stdout, stderr };
  };
  const dry = await migrate("--dry-run", "--json");
  assert.deepEqual(
    JSON.parse(dry.stdout).steps.map(({ version }: { version: number }) => version),
    migrations.map(({ version }) => version),
  );
  assert.deepEqual(await query(server.url(), schemas), []);
  const real = await migrate();
  assert.match(real.stderr, new RegExp(`from version 0 to ${known} in ${known} step`));
  assert.equal(real.stdout, "", "nothing but data goes to a pipe");
  assert.match((await migrate()).stderr, new RegExp(`up to date \\(version ${known}\\)`));
  await migrate("--schema", "agents", "--partitions", "4");
  const parts = await query(
    server.url(),
    "select from pg_class where relname like 'entries\\__' and relnamespace = 'agents'::regnamespace and relkind = 'r'",
  );
  assert.equal(parts.length, 4);
});

test("of several programs that migrate at once, each reports the steps that it has applied itself", async () => {
  const reports = await Promise.all(
    Array.from({ length: 4 }, () => migratePostgres({ url: server.url(), schema: "crowded" })),
  );
  const applied = reports.flatMap(({ steps }) => steps.map(({ version }) => version)).toSorted((a, b) => a - b);
  assert.deepEqual(
    applied,
    migrations.map(({ version }) => version),
  );
});

test("the script of --print can be run by hand, and leaves nothing to do", async () => {
  const { stdout, code } = await place.run(["migrate", "--print", "--schema", "printed"]);
  assert.equal(code, 0);
  await query(server.url(), stdout);
  const { stderr } = await place.run(["migrate", "--store", `${server.url()}?schema=printed`]);
  assert.match(stderr, /up to date/);
});

test("a newer breaking schema has an exit code of its own, for every command", async () => {
  const store = `${server.url()}?schema=agents`;
  await query(
    server.url(),
    "insert into agents.migrations (version, title, breaking) values (99, 'from the future', true)",
  );
  for (const args of [["migrate"], ["migrate", "--dry-run"], ["sessions", "list"]]) {
    const { code, stderr } = await place.run([...args, "--store", store]);
    assert.equal(code, 5, args.join(" "));
    assert.match(stderr, /schema 99.*\[store_schema_newer\]/);
  }
});

test("a store in memory, an option of the other engine, a wrong name and a wrong count are wrong usage", async () => {
  for (const args of [
    ["--store", "memory:"],
    ["--store", "sqlite:x.db", "--partitions", "2"],
    ["--store", server.url(), "--schema", "pg_mine"],
    ["--store", server.url(), "--partitions", "many"],
    ["--print", "--partitions", "0"],
  ]) {
    const { code, stderr } = await place.run(["migrate", ...args]);
    assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
  }
});
