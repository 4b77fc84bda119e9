/** Renders a session for other programs, and for people. */
import { decode } from "../domain/values/codec.ts";
import { requestMessages } from "../domain/request/model-request.ts";
import { jsonOf } from "../domain/turns/known-parts.ts";
import type { Message, TurnData } from "../domain/turns/turn.ts";
import { unbounded } from "../domain/request/window.ts";
import type { SessionSnapshot, SnapshotEntry } from "../sessions/snapshots/snapshot-text.ts";
import { counted } from "../errors/counted.ts";

/** Formats of an export. */
export const renderings = {
  /** Snapshots, one per line: complete, for import into Perdure. */
  perdure: (text: string): string => `${text}\n`,
  /** OpenAI's chat format, one conversation per line: `{"id", "messages"}`. */
  openai: (text: string): string => openaiLine(JSON.parse(text) as SessionSnapshot),
  /** For people. */
  markdown: (text: string): string => markdownOf(JSON.parse(text) as SessionSnapshot),
} as const;

function openaiLine({ session, logs }: SessionSnapshot): string {
  const instructions = logs["instructions"]?.at(-1)?.data;
  const messages = requestMessages(
    {
      turns: (logs["turns"] ?? []).map(({ seq, data }) => ({ seq, ...turnData(data) })),
      question: [],
      instructions: typeof instructions === "string" && instructions !== "" ? instructions : undefined,
    },
    { window: unbounded },
  );
  const metadata = Object.keys(session.metadata as object).length === 0 ? {} : { metadata: session.metadata };
  const line = { id: session.id, messages: messages.map(sentFields), ...metadata };
  return `${jsonOf(line)}\n`;
}

/** The data of an entry in a snapshot, where values that JSON lacks are tagged. */
function turnData(data: unknown): TurnData {
  return decode(JSON.stringify(data)) as unknown as TurnData;
}

/** The message without the fields that no endpoint is sent. */
function sentFields({ native: _, synthetic: __, ...message }: Message): object {
  return message;
}

function markdownOf({ session, logs }: SessionSnapshot): string {
  const { id, agent, user, state, createdAt, counters } = session;
  const about = [
    `agent ${agent}`,
    ...(user === null ? [] : [`user ${user}`]),
    state,
    `created ${instantText(createdAt)}`,
  ];
  const usage = `${counted(counters.turns, "turn")}, ${counted(counters.totalTokens, "token")}`;
  const instructions = logs["instructions"]?.at(-1)?.data;
  const parts = [
    `# ${oneLine(id)}`,
    oneLine([...about, usage].join(" · ")),
    ...(typeof instructions === "string" && instructions !== "" ? [`> ${instructions.replaceAll("\n", "\n> ")}`] : []),
    ...(logs["turns"] ?? []).map(turnText),
  ];
  return `${parts.join("\n\n")}\n\n`;
}

function turnText({ seq, at, data }: SnapshotEntry): string {
  const { status, agent, input, output, error } = turnData(data);
  const ending = status === "done" ? "" : ` · ${status}${error === undefined ? "" : ` (${error.message})`}`;
  const heading = oneLine(`## Turn ${seq} · ${instantText(at)} · ${agent}${ending}`);
  return [heading, ...[...input, ...output].map(messageText)].join("\n\n");
}

function messageText({ role, name, content, tool_calls: calls, tool_call_id: callId }: Message): string {
  const about = [role, name, callId].filter((one) => one !== undefined && one !== null).join(" ");
  const isOutput = role === "tool" || role === "function";
  const text = typeof content === "string" ? content : content == null ? "" : fenced(jsonOf(content, 2), "json");
  const body = isOutput && typeof content === "string" ? fenced(content, "") : text;
  const called = (calls ?? []).map(
    ({ id, function: { name: called, arguments: given } }) => `calls ${called} (${id})\n\n${fenced(given, "json")}`,
  );
  return [`**${oneLine(about)}**`, ...(body === "" ? [] : [body]), ...called].join("\n\n");
}

/** Uses a fence longer than any within the text. */
function fenced(text: string, language: string): string {
  let longest = 2;
  for (const [ticks] of text.matchAll(/`+/g)) longest = Math.max(longest, ticks.length);
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${text}\n${fence}`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}

function instantText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}
