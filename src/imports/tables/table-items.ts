/** The rows of a table of another program, as conversations to import. */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import { printable } from "../../domain/values/format-value.ts";
import type { Message } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import { dataOf } from "../../formats/shown-parts.ts";
import type { Conversation, MessageFacts } from "../../sessions/transfer/conversation.ts";
import type { ImportItem } from "../../sessions/transfer/importing.ts";
import { FormChoice } from "../forms/form-choice.ts";
import { withBeside } from "../conversations/kept-beside.ts";
import { LeftOutCounts } from "../conversations/left-out.ts";
import { aboutConversation, isOfUser, onlyUser, says, withoutClash } from "../conversations/about.ts";
import { tokensBeside } from "../conversations/exchange-names.ts";
import { instantOf } from "../conversations/instants.ts";
import { guardOneSession } from "../conversations/one-session.ts";
import { messagesOfWritten } from "../conversations/written-messages.ts";
import { conversationFormats } from "../forms/registry.ts";
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
  { rows: kind, columns, others }: TableColumns,
  { name, bytesMax, counts }: { readonly name: string; readonly bytesMax: number; readonly counts: TableCounts },
): AsyncGenerator<ImportItem, void, undefined> {
  const { session = "", time } = columns;
  // Rows of the same moment are in the order of their own number.
  const number = table.columns.find((column) => column.toLowerCase() === "id" && column !== session);
  const order = [session, ...[time, number].filter((column) => column !== undefined)];
  // A turn has one time, one model and the sum of its tokens: those of each message are beside it.
  const ofEach = kind === "messages" ? factFields.flatMap((field) => columns[field] ?? []) : [];
  let gathered: Gathered | undefined;
  for await (const row of table.rows([...new Set([...Object.values(columns), ...others])], order)) {
    counts.rows++;
    const id = textIn(row, columns.session);
    if (id === "" || isEmpty(row, kind, columns)) {
      counts.leftOut++;
      continue;
    }
    if (gathered !== undefined && (gathered.id !== id || kind === "states")) yield itemOf(gathered, kind, columns);
    if (gathered?.id !== id || kind === "states")
      gathered = {
        id,
        source: `${name} ${id}`,
        others: [...others, ...ofEach],
        leftOut: new LeftOutCounts(),
        rows: [],
        bytes: 0,
        bytesMax,
      };
    gathered.bytes += Buffer.byteLength(JSON.stringify(row));
    if (gathered.bytes <= bytesMax) gathered.rows.push(row);
  }
  if (gathered !== undefined) yield itemOf(gathered, kind, columns);
  if (counts.leftOut > 0) yield { source: name, leftOut: { row: counts.leftOut } };
}

/** What a row says of its message. */
const factFields = ["time", "model", "inputTokens", "outputTokens", "tokens", "agent", "user"] as const;

/** The rows of one session. */
interface Gathered {
  readonly id: string;
  readonly source: string;
  /** The names of the columns that have no place of their own. */
  readonly others: readonly string[];
  readonly leftOut: LeftOutCounts;
  readonly rows: TableRow[];
  bytes: number;
  readonly bytesMax: number;
}

type Columns = TableColumns["columns"];

/** True for a row without a text. */
function isEmpty(row: TableRow, kind: TableColumns["rows"], columns: Columns): boolean {
  if (kind === "exchanges") return exchangeOf(row, columns).length === 0;
  return kind === "messages" && textIn(row, columns.content) === "" && textIn(row, columns.calls) === "";
}

function itemOf(gathered: Gathered, kind: TableColumns["rows"], columns: Columns): ImportItem {
  const { source, bytes, bytesMax } = gathered;
  try {
    if (bytes > bytesMax) throw new SessionError("snapshot_too_large", { source, bytes, bytesMax });
    const conversation = readers[kind](gathered, columns);
    return { source, conversation: { ...conversation, leftOut: { ...conversation.leftOut, ...gathered.leftOut.all } } };
  } catch (error) {
    if (error instanceof SessionError) return { source, error };
    throw error;
  }
}

/** A longer value, such as a picture or a vector, is counted. */
const valueLengthMax = 65_536;

/** The columns of a row that have no place of their own; undefined where they say nothing. */
function othersIn(row: TableRow, { others, leftOut }: Gathered): Fields | undefined {
  const fields: Record<string, Value> = {};
  for (const name of others) {
    const value = row[name] as Value;
    const length = typeof value === "string" || value instanceof Uint8Array ? value.length : 0;
    if (length > valueLengthMax) leftOut.add(`value of ${printable(name)}`);
    else if (says(value)) fields[name] = value;
  }
  return says(fields) ? fields : undefined;
}

const readers = { exchanges: ofExchanges, messages: ofMessages, states: ofState } as const;

function ofMessages(gathered: Gathered, columns: Columns): Conversation {
  const { id, source, rows } = gathered;
  const written = rows.map((row) => ({
    value: columns.role === undefined ? (jsonIn(row[columns.content ?? ""], source) as Value) : messageOf(row, columns),
    facts: { ...defined({ at: timeOf(row, columns) }), ...callFactsOf(row, columns) },
    beside: othersIn(row, gathered),
  }));
  return { id, ...messagesOfWritten(written, { place: source, form: "table" }), ...aboutOf(gathered, columns) };
}

/** The message of a row, as a program writes it. */
function messageOf(row: TableRow, columns: Columns): Value {
  const { content = "", role, calls, call, tool, attachments } = columns;
  const text = (column: string | undefined): string | undefined => textIn(row, column) || undefined;
  const data = (column: string | undefined): Value | undefined => {
    const found = text(column);
    // A column of JSON may have its null.
    return found === undefined || found === "null" ? undefined : dataOf(found);
  };
  const said = text(content);
  const isParts = content.toLowerCase() === "parts";
  return defined({
    role: text(role),
    content: isParts ? undefined : ((said && contentOf(said)) ?? null),
    parts: isParts && said !== undefined ? dataOf(said) : undefined,
    tool_calls: data(calls),
    tool_call_id: text(call),
    name: text(tool),
    attachments: data(attachments),
  });
}

/** A list of parts in JSON, else the words. */
function contentOf(text: string): Value {
  const value = dataOf(text);
  const isParts = Array.isArray(value) && (value as readonly Value[]).every((part) => isFields(part) && "type" in part);
  return isParts ? value : text;
}

function ofExchanges(gathered: Gathered, columns: Columns): Conversation {
  const { id, rows } = gathered;
  const facts = new Map<Message, MessageFacts>();
  const { agent } = aboutOf(gathered, columns);
  let isOpen = false;
  let aside = 0;
  const messages = rows.flatMap((row) => {
    const spoken = textIn(row, columns.agent);
    const other = spoken === "" || spoken === agent ? undefined : { agent: spoken };
    const rest = othersIn(row, gathered);
    const beside = (rest ?? other) === undefined ? undefined : { ...rest, ...other };
    aside += beside === undefined ? 0 : 1;
    const exchange = exchangeOf(row, columns).map((message, index, { length }) =>
      index === length - 1 && beside !== undefined ? withBeside(message, "table", [beside]) : message,
    );
    const at = timeOf(row, columns);
    for (const [index, message] of exchange.entries()) {
      const isQuestion = message.role === "user";
      // The tokens and the model of an exchange are those of its answer.
      const call = index === exchange.length - 1 ? callFactsOf(row, columns) : {};
      const own = { ...defined({ at, beginsTurn: isQuestion && isOpen ? true : undefined }), ...call };
      if (Object.keys(own).length > 0) facts.set(message, own);
      isOpen = isQuestion;
    }
    return exchange;
  });
  return { id, messages, facts, aside, ...aboutOf(gathered, columns) };
}

/** The model and the tokens of a row. */
function callFactsOf(row: TableRow, columns: Columns): MessageFacts {
  const count = (field: "inputTokens" | "outputTokens" | "tokens"): number | undefined => {
    const text = textIn(row, columns[field]);
    return text === "" ? undefined : Number(text);
  };
  const counts = { input_tokens: count("inputTokens"), output_tokens: count("outputTokens"), tokens: count("tokens") };
  return defined({ model: textIn(row, columns.model) || undefined, usage: tokensBeside(defined(counts))?.usage });
}

function exchangeOf(row: TableRow, { question, answer }: Columns): readonly Message[] {
  const [asked, answered] = [textIn(row, question), textIn(row, answer)];
  return [
    ...(asked === "" ? [] : [{ role: "user", content: asked } as const]),
    ...(answered === "" ? [] : [{ role: "assistant", content: answered } as const]),
  ];
}

/** A state with messages in a known format; any other object becomes the field `state` of the metadata. */
function ofState(gathered: Gathered, columns: Columns): Conversation {
  const {
    id,
    source,
    rows: [row = {}],
  } = gathered;
  const value = jsonIn(row[columns.messages ?? ""], source) as Value;
  const { id: number, metadata: others, ...named } = aboutConversation(othersIn(row, gathered) ?? {}, []);
  const about = { ...named, ...aboutOf({ source, rows: [row] }, columns) };
  const around = defined({ id: number, ...others });
  const choice = new FormChoice(conversationFormats, undefined);
  const document = { value, place: source };
  if (isFields(value) && !choice.fits(document))
    return { id, messages: [], metadata: { ...around, state: value }, ...about };
  choice.kindOf(document);
  const [conversation] = choice.form!.read([document], { branches: "shown" });
  return { ...conversation!, id, metadata: withoutClash(around, (conversation!.metadata ?? {}) as Fields), ...about };
}

/**
 * The agent of the first row that names one, the user of the rows, and the time of the first row.
 * @throws SessionError `message_invalid` for several users
 */
function aboutOf(
  { source, rows }: Pick<Gathered, "source" | "rows">,
  columns: Columns,
): Pick<Conversation, "agent" | "user" | "createdAt"> {
  const first = (field: TableField): string | undefined =>
    rows.map((row) => textIn(row, columns[field])).find((text) => text !== "");
  const roleOf = (row: TableRow): Value => ({ role: textIn(row, columns.role) || "user" });
  const named = rows.map((row) => ({ user: textIn(row, columns.user) || undefined, place: source, row }));
  const asked = named.filter((one) => one.user !== undefined && isOfUser(roleOf(one.row)));
  const user = onlyUser(asked.length > 0 ? asked : named);
  const loose = rows.map((row) => ({ value: row as Fields, place: source, isAsked: isOfUser(roleOf(row)) }));
  guardOneSession(loose, { isNamed: true });
  return defined({ agent: first("agent"), user, createdAt: timeOf(rows[0] ?? {}, columns) });
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

/** The time of a row, epoch ms; a text without a zone is of UTC. */
function timeOf(row: TableRow, columns: Columns): number | undefined {
  return instantOf(textIn(row, columns.time));
}
