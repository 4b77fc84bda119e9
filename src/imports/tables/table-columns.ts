/** Recognises the columns of a table of conversations by their names. */
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { answerNames, questionNames } from "../conversations/exchange-names.ts";

/** What a column holds. */
export type TableField = "session" | "question" | "answer" | "messages" | "time" | "agent" | "user";

/** The names of columns, the usual one first. */
const names: Readonly<Record<TableField, readonly string[]>> = {
  session: ["session_id", "conversation_id", "chat_id", "thread_id", "session", "id"],
  question: questionNames,
  answer: answerNames,
  messages: ["messages", "history", "conversation_history", "conversation", "state", "session_data", "context", "data"],
  time: ["timestamp", "created_at", "time", "date", "created", "updated_at"],
  agent: ["agent", "agent_name", "agent_type", "active_agent", "agent_id"],
  user: ["user_id", "user", "username"],
};

/** The columns of a table: a row is an exchange, a question with its answer, or the whole state of a session. */
export interface TableColumns {
  readonly rows: "exchanges" | "states";
  readonly columns: { readonly [Field in TableField]?: string };
  /** The columns that are not imported. */
  readonly unused: readonly string[];
}

/** @throws SessionError `argument_invalid` for a table without a session, or without what was said */
export function tableColumnsOf(table: string, found: readonly string[]): TableColumns {
  const columns: { [Field in TableField]?: string } = {};
  for (const field of Object.keys(names) as TableField[]) {
    const name = names[field].flatMap((known) => found.filter((column) => column.toLowerCase() === known))[0];
    if (name !== undefined) columns[field] = name;
  }
  const isExchange = columns.question !== undefined && columns.answer !== undefined;
  if (columns.session === undefined || (!isExchange && columns.messages === undefined))
    throw invalidArgument("table", table, { expected: "table_columns", known: found });
  const fields: readonly TableField[] = isExchange
    ? ["session", "question", "answer", "time", "agent", "user"]
    : ["session", "messages", "time", "agent", "user"];
  const used = Object.fromEntries(fields.flatMap((field) => (columns[field] ? [[field, columns[field]]] : [])));
  return {
    rows: isExchange ? "exchanges" : "states",
    columns: used,
    unused: found.filter((column) => !Object.values(used).includes(column)),
  };
}
