/** Reads a table of another program, of PostgreSQL or SQLite, a few rows at a time. It writes nothing. */
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { SessionError } from "../../errors.ts";
import { quoteName } from "../../store/postgres/connection/names.ts";
import { importDriver } from "../../store/postgres/connection/pool.ts";
import { sessionErrorOf as postgresErrorOf } from "../../store/postgres/connection/postgres-error.ts";
import { guardExisting, openReadOnly } from "../../store/sqlite/connection/database-file.ts";
import { sessionErrorOf as sqliteErrorOf } from "../../store/sqlite/connection/sqlite-error.ts";
import { fileOfUrl } from "../../store/sqlite/open.ts";

/** A row by the names of its columns. */
export type TableRow = Readonly<Record<string, unknown>>;

export interface Table extends AsyncDisposable {
  readonly columns: readonly string[];
  /** The rows with these columns, in the order of these. Rows without a value follow those with one. */
  rows(columns: readonly string[], order: readonly string[]): AsyncGenerator<TableRow, void, undefined>;
}

const rowsAtOnce = 500;
const tablesMax = 50;

/** @throws SessionError `argument_invalid` for another URL and for an unknown table, `store_unavailable` … of the database */
export async function openTable(url: string, table: string): Promise<Table> {
  if (/^postgres(ql)?:/i.test(url)) return await openPostgresTable(url, table);
  const file = /^sqlite:/i.test(url) ? fileOfUrl(url) : undefined;
  if (file === undefined) throw invalidArgument("from", url, { expected: "database_url" });
  return openSqliteTable(file, table);
}

function openSqliteTable(file: string, table: string): Table {
  guardExisting(file);
  const failed = (error: unknown): unknown => (error instanceof SessionError ? error : sqliteErrorOf(error, file));
  try {
    const database = openReadOnly(file);
    try {
      const columns = database.prepare("select name from pragma_table_info(?)").all(table).map(nameIn);
      if (columns.length === 0) {
        const known = database
          .prepare("select name from sqlite_schema where type in ('table', 'view') order by name")
          .all();
        throw unknownTable(table, known.map(nameIn));
      }
      return {
        columns,
        async *rows(some, order) {
          try {
            const statement = database.prepare(selectFrom(quoteName(table), some.map(quoteName), order));
            statement.setReadBigInts(true);
            for (const row of statement.iterate() as Iterable<TableRow>) yield withoutBigInts(row);
          } catch (error) {
            throw failed(error);
          }
        },
        async [Symbol.asyncDispose]() {
          database.close();
        },
      };
    } catch (error) {
      database.close();
      throw error;
    }
  } catch (error) {
    throw failed(error);
  }
}

/** The row with its whole numbers. One that JavaScript cannot hold is its digits, as in a file of JSON. */
function withoutBigInts(row: TableRow): TableRow {
  const plain = (value: unknown): unknown => {
    if (typeof value !== "bigint") return value;
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  };
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)]));
}

async function openPostgresTable(url: string, named: string): Promise<Table> {
  const store = nameOfUrl(url);
  const { Client } = await importDriver(store);
  const client = new Client({ connectionString: url, application_name: "perdure import", keepAlive: true });
  // The next statement reports a lost connection.
  client.on("error", () => undefined);
  const [table = "", schema] = named.split(".").toReversed();
  const ask = async (text: string, values: unknown[] = []): Promise<TableRow[]> => {
    try {
      return (await client.query(text, values)).rows as TableRow[];
    } catch (error) {
      throw postgresErrorOf(error, { store, pool: "" });
    }
  };
  try {
    await client.connect().catch((error: unknown) => {
      throw postgresErrorOf(error, { store, pool: "" });
    });
    // All rows are of one moment.
    await ask("begin transaction isolation level repeatable read, read only");
    const found = await ask(
      `select column_name as name, quote_ident(table_schema) || '.' || quote_ident(table_name) as "table"
       from information_schema.columns
       where table_name = $1 and (table_schema = $2 or ($2 is null and table_schema = any (current_schemas(false))))
       order by table_schema, ordinal_position`,
      [table, schema ?? null],
    );
    const source = found[0]?.["table"];
    if (typeof source !== "string") {
      const known = await ask(
        `select table_schema || '.' || table_name as name from information_schema.tables
         where table_schema not in ('pg_catalog', 'information_schema') order by 1 limit ${tablesMax}`,
      );
      throw unknownTable(named, known.map(nameIn));
    }
    return {
      columns: found.filter((row) => row["table"] === source).map(nameIn),
      async *rows(some, order) {
        // As texts: a JSON column and a time in each of its types then read alike.
        const columns = some.map((name) => `${quoteName(name)}::text as ${quoteName(name)}`);
        await ask(`declare rows no scroll cursor for ${selectFrom(source, columns, order)}`);
        for (;;) {
          const rows = await ask(`fetch ${rowsAtOnce} from rows`);
          yield* rows;
          if (rows.length < rowsAtOnce) return;
        }
      },
      async [Symbol.asyncDispose]() {
        await client.end();
      },
    };
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

function selectFrom(table: string, columns: readonly string[], order: readonly string[]): string {
  return `select ${columns.join(", ")} from ${table} order by ${order.map((column) => `${quoteName(column)} nulls last`).join(", ")}`;
}

function nameIn({ name }: TableRow): string {
  return String(name);
}

function unknownTable(table: string, known: readonly string[]): SessionError {
  return invalidArgument("table", table, { expected: "one_of", known: known.slice(0, tablesMax) });
}

/** The address without user and password. */
function nameOfUrl(url: string): string {
  return url.replace(/^(\w+:\/\/)[^@/]*@/, "$1").replace(/\?.*/s, "");
}
