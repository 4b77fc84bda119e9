/** Renders a session for other programs, and for people. */
import { decode } from "../domain/values/codec.ts";
import { requestMessages } from "../domain/request/model-request.ts";
import { jsonOf } from "../domain/turns/known-parts.ts";
import type { Message, TurnData } from "../domain/turns/turn.ts";
import { toFormat } from "../formats/conversion.ts";
import type { MessageFormat, MessageFormatName } from "../formats/message-format.ts";
import { messageFormats } from "../formats/registry.ts";
import { unbounded } from "../domain/request/window.ts";
import type { SessionSnapshot, SnapshotEntry } from "../sessions/snapshots/snapshot-text.ts";
import { counted } from "../errors/counted.ts";

/** Renders the text of a snapshot. */
export type Rendering = (text: string) => string;

/** Formats of an export. */
export const renderings: Readonly<Record<"perdure" | "markdown" | MessageFormatName, Rendering>> = {
  /** Snapshots, one per line: complete, for import into Perdure. */
  perdure: (text) => `${text}\n`,
  /** Formats of frameworks and providers, one conversation per line. */
  ...(Object.fromEntries(
    messageFormats.map((format) => [
      format.name,
      (text: string): string => conversationLine(JSON.parse(text) as SessionSnapshot, format),
    ]),
  ) as Record<MessageFormatName, Rendering>),
  /** OpenAI's chat format, as a request to a model shows the conversation. */
  openai: (text) => openaiLine(JSON.parse(text) as SessionSnapshot),
  /** For people. */
  markdown: (text) => markdownOf(JSON.parse(text) as SessionSnapshot),
};

/** All messages of the session, as the format writes them: `{"id", "messages"}` or the format's own fields. */
function conversationLine({ session, logs }: SessionSnapshot, format: MessageFormat): string {
  const text = instructionsIn(logs);
  const own = systemMessages(text);
  const messages = turnMessages(logs);
  const beside = text === undefined ? undefined : format.instructions?.(text);
  const line = {
    id: session.id,
    ...beside,
    [format.list]: toFormat(beside === undefined ? [...own, ...messages] : messages, format.name),
    ...metadataOf(session),
  };
  return `${jsonOf(line)}\n`;
}

/** All messages of a session; its instructions are the first one. */
export function messagesIn({ logs }: SessionSnapshot): readonly Message[] {
  return [...systemMessages(instructionsIn(logs)), ...turnMessages(logs)];
}

function systemMessages(instructions: string | undefined): readonly Message[] {
  return instructions === undefined ? [] : [{ role: "system", content: instructions }];
}

function turnMessages(logs: SessionSnapshot["logs"]): readonly Message[] {
  return (logs["turns"] ?? []).flatMap(({ data }) => {
    const { input, output } = turnData(data);
    return [...input, ...output];
  });
}

function instructionsIn(logs: SessionSnapshot["logs"]): string | undefined {
  const instructions = logs["instructions"]?.at(-1)?.data;
  return typeof instructions === "string" && instructions !== "" ? instructions : undefined;
}

function metadataOf({ metadata }: SessionSnapshot["session"]): object {
  return Object.keys(metadata as object).length === 0 ? {} : { metadata };
}

function openaiLine({ session, logs }: SessionSnapshot): string {
  const messages = requestMessages(
    {
      turns: (logs["turns"] ?? []).map(({ seq, data }) => ({ seq, ...turnData(data) })),
      question: [],
      instructions: instructionsIn(logs),
    },
    { window: unbounded },
  );
  const line = { id: session.id, messages: messages.map(sentFields), ...metadataOf(session) };
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
  const instructions = instructionsIn(logs);
  const parts = [
    `# ${oneLine(id)}`,
    oneLine([...about, usage].join(" · ")),
    ...(instructions !== undefined ? [`> ${instructions.replaceAll("\n", "\n> ")}`] : []),
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
