/** Asks a model for a text about a conversation: a summary, or a title. It gets no tools. */
import { textOf } from "../../domain/turns/message-steps.ts";
import type { Message, ReportedUsage, Usage } from "../../domain/turns/turn.ts";
import { estimateUsage, parseUsage } from "../../domain/turns/usage.ts";
import { defined } from "../../domain/values/defined.ts";
import { clip } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";
import type { Model, ModelRequest } from "../options/model.ts";

/** A text that a model wrote, and its cost. */
export interface ModelText {
  readonly text: string;
  readonly usage: Usage;
  readonly model?: string;
}

/** @throws SessionError `model_failed` where the model refuses; the signal's reason, and any error of the model */
export async function modelText(
  model: Model,
  request: Pick<ModelRequest, "agent" | "model" | "settings" | "messages" | "signal">,
): Promise<ModelText> {
  const { messages, signal } = request;
  let text = "";
  let name = request.model;
  let usage: ReportedUsage = {};
  for await (const event of model(request)) {
    signal.throwIfAborted();
    if (event.type === "text") text += event.text;
    else if (event.type === "message" && event.message.role === "assistant") text += textOf(event.message.content);
    else if (event.type === "usage") ({ usage } = event);
    else if (event.type === "model") name = event.model;
    else if (event.type === "finish" && (event.reason === "refusal" || event.reason === "content_filter"))
      throw new SessionError("model_failed", { reported: `the model wrote no text: ${event.reason}` });
  }
  const estimate = estimateUsage(messages, [{ role: "assistant", content: text }]);
  return { text, usage: parseUsage(usage, () => estimate), ...defined({ model: name }) };
}

/** A message of a conversation as a line of JSON, cut to so many characters of its text. */
export function lineOf(seq: number, { role, content, name, tool_calls: calls }: Message, lengthMax: number): string {
  const called = calls?.map(({ function: { name: tool, arguments: args } }) => `${tool}(${clip(args, lengthMax)})`);
  return JSON.stringify({
    turn: seq,
    role,
    ...defined({ name, calls: called }),
    text: clip(textOf(content), lengthMax),
  });
}

/** The result of the work, unless the signal aborts first: work that ignores its signal must not be waited for. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    // The loser of the race may fail later.
    work.catch(() => undefined);
    aborted.promise.catch(() => undefined);
  }
}
