/** Recognises the columns of a table of conversations by their names. */
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { answerNames, questionNames, tokenNames } from "../conversations/exchange-names.ts";

/** What a column holds. */
export type TableField =
  | "session"
  | "question"
  | "answer"
  | "role"
  | "content"
  | "calls"
  | "call"
  | "tool"
  | "model"
  | "inputTokens"
  | "outputTokens"
  | "tokens"
  | "attachments"
  | "messages"
  | "time"
  | "agent"
  | "user";

/** The names of columns, the usual one first. */
const names: Readonly<Record<TableField, readonly string[]>> = {
  session: [
    "session_id",
    "conversation_id",
    "chat_id",
    "thread_id",
    "sessionid",
    "conversationid",
    "chatid",
    "threadid",
    "session",
    "id",
  ],
  question: questionNames,
  answer: answerNames,
  role: ["role", "sender", "author"],
  content: ["parts", "content", "text", "message", "body"],
  calls: ["tool_calls"],
  call: ["tool_call_id"],
  tool: ["tool_name"],
  model: ["model", "model_name"],
  inputTokens: tokenNames.input,
  outputTokens: tokenNames.output,
  tokens: tokenNames.total,
  attachments: ["attachments"],
  messages: ["messages", "history", "conversation_history", "conversation", "state", "session_data", "context", "data"],
  time: ["timestamp", "created_at", "createdat", "time", "date", "created", "updated_at"],
  agent: ["agent", "agent_name", "agent_type", "active_agent", "agent_id"],
  user: ["user_id", "userid", "user", "username"],
};

/**
 * The columns of a table: a row is an exchange, a question with its answer, a message, or the whole state of a session. Without a
 * column of roles the content is the whole message, as JSON.
 */
export interface TableColumns {
  readonly rows: "exchanges" | "messages" | "states";
  readonly columns: { readonly [Field in TableField]?: string };
  /** The other columns: they are kept beside the messages, or as metadata of a state. */
  readonly others: readonly string[];
}

/** @throws SessionError `argument_invalid` for a table without a session, or without what was said */
export function tableColumnsOf(table: string, found: readonly string[]): TableColumns {
  const columns: { [Field in TableField]?: string } = {};
  for (const field of Object.keys(names) as TableField[]) {
    const name = names[field].flatMap((known) => found.filter((column) => column.toLowerCase() === known))[0];
    if (name !== undefined) columns[field] = name;
  }
  const rows = rowsOf(columns);
  if (rows === undefined) throw invalidArgument("table", table, { expected: "table_columns", known: found });
  const fields = [...fieldsOf[rows], "time", "agent", "user"] as const;
  const used = Object.fromEntries(fields.flatMap((field) => (columns[field] ? [[field, columns[field]]] : [])));
  return {
    rows,
    columns: used,
    others: found.filter((column) => !Object.values(used).includes(column)),
  };
}

const fieldsOf: Readonly<Record<TableColumns["rows"], readonly TableField[]>> = {
  exchanges: ["session", "question", "answer", "model", "inputTokens", "outputTokens", "tokens"],
  messages: [
    "session",
    "role",
    "content",
    "calls",
    "call",
    "tool",
    "model",
    "inputTokens",
    "outputTokens",
    "tokens",
    "attachments",
  ],
  states: ["session", "messages"],
};

function rowsOf({
  session,
  question,
  answer,
  role,
  content,
  messages,
}: TableColumns["columns"]): TableColumns["rows"] | undefined {
  if (session === undefined) return undefined;
  if (question !== undefined && answer !== undefined) return "exchanges";
  // The id of a message is that of no session.
  const isMessage = content !== undefined && session.toLowerCase() !== "id";
  if (isMessage && role !== undefined) return "messages";
  if (messages !== undefined) return "states";
  return isMessage && content.toLowerCase() === "message" ? "messages" : undefined;
}
