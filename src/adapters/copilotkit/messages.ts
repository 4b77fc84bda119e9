/** Messages of AG-UI and of sessions: those of a run from its events, and events in the place of messages. */
import type { Message, ReportedUsage, ToolCall, Turn, Value } from "../../index.ts";
import { defined } from "../../domain/values/defined.ts";
import { event, fieldsOf, textOf, type Fields } from "./events.ts";
import type { AgUiEvent, AgUiMessage } from "./package-copilotkit.ts";

/** What is known of a run beside its events. */
export interface RunHeader {
  readonly threadId: string;
  readonly runId: string;
  readonly agent?: string;
  /** The last message of the run's input: what a snapshot of all messages has behind it is of this run. */
  readonly after?: string;
}

/** The messages of the input that the first event of a run has. */
export function inputOf(events: readonly AgUiEvent[]): readonly AgUiMessage[] {
  const { messages } = fieldsOf(fieldsOf(events.find(({ type }) => type === "RUN_STARTED"))["input"]);
  return Array.isArray(messages) ? (messages as readonly AgUiMessage[]) : [];
}

/** The messages of AG-UI as messages of a session. Reasoning and activities are in the events alone. */
export function canonicalInput(messages: readonly AgUiMessage[]): readonly Message[] {
  return messages.flatMap((message): readonly Message[] => {
    const draft = draftOf(message);
    return draft === undefined ? [] : canonical(draft);
  });
}

/** A message that grows with its events. */
interface Draft {
  readonly id: string;
  readonly role: Message["role"];
  content: Value;
  readonly calls: { id: string; name: string; text: string }[];
  readonly answers?: string;
}

const roles: readonly string[] = ["developer", "system", "user", "assistant", "tool"];

function draftOf(message: AgUiMessage): Draft | undefined {
  if (!roles.includes(message.role)) return undefined;
  const { content, toolCalls } = fieldsOf(message);
  const calls = (Array.isArray(toolCalls) ? (toolCalls as readonly unknown[]) : []).map((call) => {
    const called = fieldsOf(call)["function"];
    return {
      id: textOf(call, "id") ?? "",
      name: textOf(called, "name") ?? "",
      text: textOf(called, "arguments") ?? "",
    };
  });
  const role = message.role as Message["role"];
  const answers = textOf(message, "toolCallId");
  return { id: message.id, role, content: contentOf(content), calls, ...defined({ answers }) };
}

/** Texts and pictures; other parts are in the events alone. */
function contentOf(content: unknown): Value {
  if (!Array.isArray(content)) return typeof content === "string" ? content : "";
  return (content as readonly unknown[]).flatMap((part): readonly Value[] => {
    const { type, text, source } = fieldsOf(part);
    if (type === "text" && typeof text === "string") return [{ type: "text", text }];
    const value = textOf(source, "value");
    if (type !== "image" || value === undefined) return [];
    const isData = textOf(source, "type") === "data";
    const url = isData ? `data:${textOf(source, "mimeType") ?? "image/png"};base64,${value}` : value;
    return [{ type: "image_url", image_url: { url } }];
  });
}

function canonical({ role, content, calls, answers }: Draft): readonly Message[] {
  if (role === "tool") return answers === undefined ? [] : [{ role, tool_call_id: answers, content }];
  const tool_calls = calls.map(({ id, name, text }): ToolCall => ({
    id,
    type: "function",
    function: { name, arguments: text },
  }));
  const isEmpty = content === "" || (Array.isArray(content) && content.length === 0);
  if (tool_calls.length > 0) return [{ role, content: isEmpty ? null : content, tool_calls }];
  return isEmpty ? [] : [{ role, content }];
}

/** The messages that a run has said, from its events. */
export function outputOf(events: readonly AgUiEvent[], after: string | undefined): readonly Message[] {
  let drafts: Draft[] = [];
  const draft = (id: string, role: Message["role"]): Draft => {
    const known = drafts.find((one) => one.id === id && one.role === role);
    if (known !== undefined) return known;
    const made: Draft = { id, role, content: "", calls: [] };
    drafts.push(made);
    return made;
  };
  for (const given of events) {
    const id = textOf(given, "messageId") ?? "";
    const callId = textOf(given, "toolCallId") ?? "";
    const delta = textOf(given, "delta") ?? "";
    if (given.type === "TEXT_MESSAGE_START") draft(id, roleOf(textOf(given, "role")));
    else if (given.type === "TEXT_MESSAGE_CONTENT") {
      const grown = drafts.find((one) => one.id === id);
      if (typeof grown?.content === "string") grown.content += delta;
    } else if (given.type === "TOOL_CALL_START") {
      const name = textOf(given, "toolCallName") ?? "";
      const { calls } = draft(textOf(given, "parentMessageId") ?? callId, "assistant");
      if (!calls.some((call) => call.id === callId)) calls.push({ id: callId, name, text: "" });
    } else if (given.type === "TOOL_CALL_ARGS") {
      const call = drafts.flatMap(({ calls }) => calls).find((one) => one.id === callId);
      if (call !== undefined) call.text += delta;
    } else if (given.type === "TOOL_CALL_RESULT") {
      const answered = drafts.some(({ answers }) => answers === callId);
      const content = textOf(given, "content") ?? "";
      if (!answered) drafts.push({ id, role: "tool", content, calls: [], answers: callId });
    } else if (given.type === "MESSAGES_SNAPSHOT") drafts = snapshot(fieldsOf(given)["messages"], drafts, after);
  }
  return drafts.flatMap(canonical);
}

/** The messages of this run in a snapshot of all: those behind its input, else those that it has said before. */
function snapshot(messages: unknown, drafts: readonly Draft[], after: string | undefined): Draft[] {
  const all = Array.isArray(messages) ? (messages as readonly AgUiMessage[]) : [];
  const at = all.findIndex(({ id }) => id === after);
  const own = at < 0 ? all.filter(({ id }) => drafts.some((draft) => draft.id === id)) : all.slice(at + 1);
  return own.flatMap((message) => draftOf(message) ?? []);
}

function roleOf(role: string | undefined): Message["role"] {
  return role === "user" || role === "system" || role === "developer" ? role : "assistant";
}

/** The tokens that the end of a run reports; undefined where it reports none. */
export function usageOf(events: readonly AgUiEvent[]): { readonly usage?: ReportedUsage; readonly model?: string } {
  const reports = fieldsOf(events.at(-1))["usage"];
  if (!Array.isArray(reports) || reports.length === 0) return {};
  const sum = (name: string): number | undefined => {
    const counts = (reports as readonly Fields[]).flatMap(({ [name]: count }) =>
      typeof count === "number" ? count : [],
    );
    return counts.length === 0 ? undefined : counts.reduce((a, b) => a + b, 0);
  };
  const models = new Set((reports as readonly unknown[]).flatMap((report) => textOf(report, "model") ?? []));
  const [model] = models;
  const usage = defined({
    inputTokens: sum("inputTokens"),
    outputTokens: sum("outputTokens"),
    totalTokens: sum("totalTokens"),
    cachedTokens: sum("cachedInputTokens"),
    reasoningTokens: sum("reasoningTokens"),
  });
  return { usage, ...(models.size === 1 ? defined({ model }) : {}) };
}

/** A turn that another framework wrote, or changed, as the events of a run. Its messages have ids by their place. */
export function eventsOfTurn(threadId: string, { seq, input, output, status, error }: Turn): readonly AgUiEvent[] {
  const runId = `turn-${seq}`;
  const messages = [...input, ...output].map((message, index) => agUiMessage(message, `turn-${seq}-${index + 1}`));
  const about = { threadId, runId, state: {}, messages, tools: [], context: [], forwardedProps: {} };
  const message = error?.message ?? "The answer has failed.";
  return [
    event("RUN_STARTED", { threadId, runId, input: about }),
    status === "failed"
      ? event("RUN_ERROR", { message, ...defined({ code: error?.code }) })
      : event("RUN_FINISHED", { threadId, runId }),
  ];
}

function agUiMessage(
  { role, content, tool_calls: calls = [], tool_call_id: answers = "" }: Message,
  id: string,
): Fields {
  const text = plainText(content);
  if (role === "tool" || role === "function") return { id, role: "tool", toolCallId: answers, content: text };
  if (role !== "user" || !Array.isArray(content)) {
    const toolCalls = calls.map(({ id: callId, function: called }) => ({
      id: callId,
      type: "function",
      function: called,
    }));
    return { id, role, content: text, ...(toolCalls.length === 0 ? {} : { toolCalls }) };
  }
  const parts = (content as readonly Value[]).flatMap((part): readonly Fields[] => {
    const { type, text: said, image_url: picture } = fieldsOf(part);
    if (type === "text") return [{ type, text: said }];
    const url = textOf(picture, "url");
    if (url === undefined) return [];
    const data = /^data:([^;,]*);base64,(.*)$/s.exec(url);
    return [
      data === null
        ? { type: "image", source: { type: "url", value: url } }
        : { type: "image", source: { type: "data", mimeType: data[1], value: data[2] } },
    ];
  });
  return { id, role, content: parts };
}

function plainText(content: Value | undefined): string {
  if (!Array.isArray(content)) return typeof content === "string" ? content : "";
  return (content as readonly Value[]).map((part) => textOf(part, "text") ?? "").join("");
}
