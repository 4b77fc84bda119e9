/** The rows of a table of another program, as conversations to import. */
import type { Message } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import type { Conversation } from "../../sessions/transfer/conversation.ts";
import type { ImportItem } from "../../sessions/transfer/importing.ts";
import { conversationOf, importItem } from "../forms/conversation.ts";
import type { TableColumns, TableField } from "./table-columns.ts";
import type { Table, TableRow } from "./table-rows.ts";

/** The rows that were read, and those that are in no session. */
export interface TableCounts {
  rows: number;
  /** Rows without a session, or without a text. */
  leftOut: number;
}

/** The sessions of a table, one at a time; `counts` grows meanwhile. A session over `bytesMax` is an error of its own. */
export async function* tableItems(
  table: Table,
  { rows: kind, columns }: TableColumns,
  { name, bytesMax, counts }: { readonly name: string; readonly bytesMax: number; readonly counts: TableCounts },
): AsyncGenerator<ImportItem, void, undefined> {
  const { session = "", time } = columns;
  // Rows of the same moment are in the order of their own number.
  const number = table.columns.find((column) => column.toLowerCase() === "id" && column !== session);
  const order = [session, ...[time, number].filter((column) => column !== undefined)];
  let gathered: Gathered | undefined;
  for await (const row of table.rows(Object.values(columns), order)) {
    counts.rows++;
    const id = textIn(row, columns.session);
    if (id === "" || (kind === "exchanges" && exchangeOf(row, columns).length === 0)) {
      counts.leftOut++;
      continue;
    }
    if (gathered !== undefined && (gathered.id !== id || kind === "states")) yield itemOf(gathered, kind, columns);
    if (gathered?.id !== id || kind === "states")
      gathered = { id, source: `${name} ${id}`, rows: [], bytes: 0, bytesMax };
    gathered.bytes += Buffer.byteLength(JSON.stringify(row));
    if (gathered.bytes <= bytesMax) gathered.rows.push(row);
  }
  if (gathered !== undefined) yield itemOf(gathered, kind, columns);
}

/** The rows of one session. */
interface Gathered {
  readonly id: string;
  readonly source: string;
  readonly rows: TableRow[];
  bytes: number;
  readonly bytesMax: number;
}

type Columns = TableColumns["columns"];

function itemOf(gathered: Gathered, kind: TableColumns["rows"], columns: Columns): ImportItem {
  const { source, bytes, bytesMax, rows } = gathered;
  return importItem(source, () => {
    if (bytes > bytesMax) throw new SessionError("snapshot_too_large", { source, bytes, bytesMax });
    return kind === "exchanges" ? ofExchanges(gathered, columns) : ofState(gathered, rows[0] ?? {}, columns);
  });
}

function ofExchanges({ id, rows }: Gathered, columns: Columns): Conversation {
  const times = new Map<Message, number>();
  const messages = rows.flatMap((row) => {
    const exchange = exchangeOf(row, columns);
    const at = timeOf(row, columns);
    if (at !== undefined) for (const message of exchange) times.set(message, at);
    return exchange;
  });
  return { id, messages, times, ...aboutOf(rows, columns) };
}

function exchangeOf(row: TableRow, { question, answer }: Columns): readonly Message[] {
  const [asked, answered] = [textIn(row, question), textIn(row, answer)];
  return [
    ...(asked === "" ? [] : [{ role: "user", content: asked } as const]),
    ...(answered === "" ? [] : [{ role: "assistant", content: answered } as const]),
  ];
}

/** A state with messages in a known format; any other object becomes the field `state` of the metadata. */
function ofState({ id, source }: Gathered, row: TableRow, columns: Columns): Conversation {
  const value = jsonIn(row[columns.messages ?? ""], source);
  const about = aboutOf([row], columns);
  try {
    return { ...conversationOf(value, source), id, ...about };
  } catch (error) {
    if (!(error instanceof SessionError) || typeof value !== "object" || value === null || Array.isArray(value))
      throw error;
    return { id, messages: [], metadata: { state: value as Conversation["metadata"] }, ...about };
  }
}

/** The agent and the user of the first row that names one, and the time of the first row. */
function aboutOf(rows: readonly TableRow[], columns: Columns): Pick<Conversation, "agent" | "user" | "createdAt"> {
  const first = (field: TableField): string | undefined =>
    rows.map((row) => textIn(row, columns[field])).find((text) => text !== "");
  return defined({ agent: first("agent"), user: first("user"), createdAt: timeOf(rows[0] ?? {}, columns) });
}

function textIn(row: TableRow, column: string | undefined): string {
  const value = column === undefined ? null : row[column];
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

function jsonIn(value: unknown, source: string): unknown {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch (cause) {
    throw new SessionError("message_invalid", { path: source, expected: "json" }, { cause });
  }
}

/** Numbers below this are seconds since the epoch. */
const secondsBelow = 1e11;

/** The time of a row, epoch ms; a text without a zone is of UTC. */
function timeOf(row: TableRow, columns: Columns): number | undefined {
  const text = textIn(row, columns.time).trim();
  if (text === "") return undefined;
  if (/^\d+(\.\d+)?$/.test(text)) return Math.round(Number(text) * (Number(text) < secondsBelow ? 1000 : 1));
  const [, day = "", clock = "00:00", zone = ""] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?\s*(Z|[+-]\d\d(?::?\d\d)?)?$/i.exec(text) ?? [];
  const ms = Date.parse(`${day}T${clock}${zone === "" ? "Z" : /^[+-]\d\d$/.test(zone) ? `${zone}:00` : zone}`);
  return Number.isNaN(ms) ? undefined : ms;
}
