/**
 * Writes what a store of this version holds, as SQL that rebuilds it: `schema-N.sqlite.sql` and `schema-N.postgres.sql`
 * in this folder, N being the newest step of the schema. Run it in a checkout of the version to be kept, once:
 *
 *     node test/migrations/write-fixtures.ts
 *
 * A fixture is never written again by a later version. `fixtures.test.ts` opens each of them with the version at hand.
 */
import { writeFileSync } from "node:fs";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openSessions } from "../../src/index.ts";
import { migrations as sqliteSteps } from "../../src/store/sqlite/schema/schema.ts";
import { migrations as postgresSteps } from "../../src/store/postgres/schema/schema.ts";
import { postgresSchemaScript } from "../../src/store/postgres/index.ts";
import { PostgresServer, query } from "../postgres/server.ts";

const secret = "a secret for fixtures only";
const device = "0b6f8a52-5c1d-4a7e-9f3b-2d8e6c4a1f00";
const otherDevice = "7d2c9e14-3f6a-4b8d-8e5c-1a9b7f3d2e00";
const ttl = "18250d";

/** One of everything: what `fixtures.test.ts` expects to find, by the ids of the sessions. */
async function fill(store: string): Promise<void> {
  const sessions = await openSessions({ store, secret, sweep: false });
  const plain = await sessions.create({
    id: "plain",
    user: "ada",
    ttl,
    metadata: { plan: "pro", since: new Date(0), "\u0000": '"maxAgeFrom":1,"mark":"not this one"' },
    instructions: "Be brief.",
  });
  for (const input of ["one", "two", "three"]) {
    const usage = { inputTokens: 2, outputTokens: 1, totalTokens: 3 };
    await plain.append({ input, output: `${input}!`, usage, model: "m" }, { key: `key ${input}` });
  }
  await plain.setLegalHold("case 1");
  await plain.handOff("assistant", { ttl, note: "The customer waits." });

  const touched = await sessions.create({ id: "touched", ttl });
  await touched.append({ input: "one", output: "one!" });
  for (let count = 0; count < 3; count++) await touched.touch();

  const parent = await sessions.create({ id: "parent", ttl });
  for (const input of ["one", "two"]) await parent.append({ input, output: `${input}!` });
  const fork = await parent.fork({ at: 1, as: "fork" });
  await fork.append({ input: "other two", output: "other two!" });

  const archived = await sessions.create({ id: "archived", ttl });
  for (const input of ["one", "two"]) await archived.append({ input, output: `${input}!` });
  await archived.archive();

  const cut = await sessions.create({ id: "cut", ttl });
  for (const input of ["one", "two"]) await cut.append({ input, output: `${input}!` });
  await cut.truncate(1);

  const branched = await sessions.create({ id: "branched", ttl });
  for (const input of ["one", "two", "three"]) await branched.append({ input, output: `${input}!` });
  const { version } = await branched.look();
  await branched.write({ turns: { from: 2, turns: [{ input: "other two" }], keep: true }, onto: version });

  const devices = await sessions.devices.open(device, { ttl });
  await devices.append({ input: "hello", output: "hello!" });
  const { code } = await sessions.devices.linkCode(device);
  await sessions.devices.link(otherDevice, code);

  // What a program leaves behind that dies at work: these are neither sealed nor given back.
  const leased = await sessions.create({ id: "leased", ttl });
  await leased.append({ input: "one", output: "one!" });
  await leased.lease();
  const open = await sessions.create({ id: "open", ttl });
  const turn = await open.begin("a question");
  await turn.write({ text: "half an " });
  await turn.write({ text: "answer" });
  await new Promise((resolve) => setTimeout(resolve, 1000));
}

function literal(value: unknown): string {
  if (value === null) return "null";
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString("hex")}'`;
  return typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value);
}

function inserts(table: string, rows: readonly Readonly<Record<string, unknown>>[]): string {
  return rows
    .map((found) => {
      const row = "machine" in found ? { ...found, host: "host", machine: "machine" } : found;
      const values = Object.values(row).map(literal).join(", ");
      return `insert into ${table} (${Object.keys(row).join(", ")}) values (${values});\n`;
    })
    .join("");
}

async function writeSqlite(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "perdure-fixture-"));
  const file = join(folder, "store.db");
  await fill(`sqlite:${file}`);
  const database = new DatabaseSync(file);
  // SQLite makes the tables `search_words_…` together with the virtual table, and no program has searched yet.
  const made = database
    .prepare(
      "select name, type, sql from sqlite_schema where sql is not null and name not like 'search!_words!_%' escape '!' order by rowid",
    )
    .all();
  const text = [
    ...["user_version", "application_id"].map(
      (name) => `pragma ${name} = ${String(database.prepare(`pragma ${name}`).get()?.[name])};\n`,
    ),
    ...made.filter(({ name }) => name !== "sqlite_sequence").map(({ sql }) => `${String(sql)};\n`),
    ...made
      .filter(({ name, type }) => type === "table" && name !== "sqlite_sequence")
      .map(({ name }) => inserts(String(name), database.prepare(`select * from ${String(name)}`).all())),
  ];
  writeFileSync(new URL(`schema-${sqliteSteps.length}.sqlite.sql`, import.meta.url), text.join(""));
  rmSync(folder, { recursive: true });
}

async function writePostgres(): Promise<void> {
  const server = await PostgresServer.start();
  await fill(server.url());
  const text = [postgresSchemaScript({})];
  for (const table of ["sessions", "entries", "instances"]) {
    const rows = await query(server.url(), `select to_json(t)::text as row from perdure.${table} t`);
    const plain = rows.map(({ row }) => JSON.parse(String(row)) as Record<string, unknown>);
    text.push(inserts(`perdure.${table}`, plain));
  }
  writeFileSync(new URL(`schema-${postgresSteps.length}.postgres.sql`, import.meta.url), text.join("\n"));
  await server[Symbol.asyncDispose]();
}

await writeSqlite();
await writePostgres();
// The programs that filled the stores are not closed, as those are not that die.
process.exit();
