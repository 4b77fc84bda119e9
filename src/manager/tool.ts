import { tracingChannel } from "node:diagnostics_channel";
import { base64Of, type Value } from "../domain/values/codec.ts";
import { parseDuration, type Duration } from "../domain/values/duration.ts";
import { clip, formatValue } from "../domain/values/format-value.ts";
import type { Message, ToolCall } from "../domain/turns/turn.ts";
import { contentParts, type ContentPart } from "./content-parts.ts";
import type { ToolDescription } from "../sessions/options/model.ts";
import type { Session } from "../sessions/session/session.ts";
import type { Traced } from "../store/calls/store-call.ts";
import { traced } from "../store/calls/traced.ts";
import { withTimeout } from "./timeout.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { invalidArgument, parseArray, parseFunction } from "../domain/values/invalid-argument.ts";

/** A function of yours that a model may call. */
export interface Tool extends ToolDescription {
  /**
   * Runs the tool. The model reads a string as it is, and anything else as JSON. A list of content parts of chat
   * completions (`text`, `image_url`, `input_audio`, `file`) is stored as it is, and the model sees its pictures and
   * files. An error is a result that the model reads. The arguments are an object, but a model may ignore the schema.
   */
  readonly run: (args: Readonly<Record<string, Value>>, context: ToolContext) => unknown;
  /**
   * The tool runs only once a person has approved the call: the turn waits, and `session.approve` or `manager.approve`
   * continues it, in any process. A function decides by the arguments; if it throws, the call needs approval.
   * @default false
   */
  readonly approve?: boolean | ((args: Readonly<Record<string, Value>>) => boolean | Promise<boolean>);
  /**
   * Time limit; then the signal aborts and the model reads an error.
   * @default "60s"
   */
  readonly timeout?: Duration;
}

/** Context of a tool call. */
export interface ToolContext {
  readonly session: Session;
  /** The calling agent. */
  readonly agent: string;
  /** Id of the call, as the model sent it. */
  readonly callId: string;
  /** Aborts when the answer is stopped or the tool's time is up. */
  readonly signal: AbortSignal;
}

/** Published on the tracing channel `perdure:tool` for each tool run that a model requested. */
export interface ToolRun extends Traced {
  readonly tool: string;
  readonly callId: string;
  readonly tenant: string;
  readonly session: string;
  /** The calling agent. */
  readonly agent: string;
}

const toolRuns = tracingChannel<unknown, ToolRun>("perdure:tool");

/** The text of a result is truncated here, so that it does not fill the model's context. */
const textBytesMax = 64 * 1024;
/** The pictures and files of one result: half of what a turn holds. */
const mediaBytesMax = 4 * 1024 * 1024;
const errorLengthMax = 1000;

const toolNames: OptionNames<Tool> = {
  name: true,
  description: true,
  parameters: true,
  run: true,
  approve: true,
  timeout: true,
};

/**
 * Tools by name.
 * @throws SessionError `argument_invalid`, `duration_invalid`
 */
export function parseTools(tools: readonly Tool[]): ReadonlyMap<string, Tool> {
  const known = new Map<string, Tool>();
  for (const [index, tool] of parseArray(tools, "tools").entries()) {
    guardNames(tool, `tools[${index}]`, toolNames);
    const { name, timeout, approve, run } = tool;
    if (typeof name !== "string" || !/^[\w-]{1,64}$/.test(name))
      throw invalidArgument("tool.name", name, { expected: "tool_name", max: 64 });
    if (known.has(name)) throw invalidArgument("tool.name", name, { expected: "unique" });
    if (timeout !== undefined) parseDuration(timeout, `tools.${name}.timeout`);
    if (approve !== undefined && typeof approve !== "boolean" && typeof approve !== "function")
      throw invalidArgument(`tools.${name}.approve`, approve, {
        expected: "one_of",
        known: ["true", "false", "a function"],
      });
    parseFunction(run, `tools.${name}.run`);
    known.set(name, tool);
  }
  return known;
}

/**
 * Runs the tool of a call. A failure is a marked result, so that the model can continue.
 * @throws the reason of `context.signal` if the answer was stopped
 */
export async function runTool(
  tools: ReadonlyMap<string, Tool>,
  { id, function: { name, arguments: text } }: ToolCall,
  { signal, ...context }: Omit<ToolContext, "callId">,
): Promise<Message> {
  try {
    const tool = tools.get(name);
    if (tool === undefined)
      throw new Error(`there is no tool ${formatValue(name)}; known: ${[...tools.keys()].join(", ") || "none"}`);
    const args = parseArguments(text);
    const ms = parseDuration(tool.timeout ?? "60s", "timeout");
    const work = (stop: AbortSignal): unknown => tool.run(args, { ...context, callId: id, signal: stop });
    const { session, agent } = context;
    const run: ToolRun = { tool: name, callId: id, tenant: session.info.tenant, session: session.id, agent };
    const result = await traced(toolRuns, run, () => withTimeout(work, { ms, signal }));
    return { role: "tool", tool_call_id: id, content: resultContent(result) };
  } catch (error) {
    signal.throwIfAborted();
    const reason = clip(error instanceof Error ? error.message : String(error), errorLengthMax);
    return { role: "tool", tool_call_id: id, content: `Error: ${reason}`, is_error: true };
  }
}

/** True for a call that must be approved before its tool runs. Arguments that cannot be read are an error for the model to read. */
export async function needsApproval(
  tools: ReadonlyMap<string, Tool>,
  { function: { name, arguments: text } }: ToolCall,
): Promise<boolean> {
  const approve = tools.get(name)?.approve ?? false;
  if (typeof approve === "boolean") return approve;
  let args: Readonly<Record<string, Value>>;
  try {
    args = parseArguments(text);
  } catch {
    return false;
  }
  try {
    // The function is the caller's, and its result is unchecked: only false lets the tool run.
    const needed: unknown = await approve(args);
    return needed !== false;
  } catch {
    return true;
  }
}

/** The result of a call that was refused, as the model reads it. */
export function refusedResult({ id }: ToolCall, reason: string): Message {
  const content = `The call was refused and did not run: ${clip(reason, errorLengthMax)}`;
  return { role: "tool", tool_call_id: id, content, is_error: true };
}

function parseArguments(text: string): Readonly<Record<string, Value>> {
  // Some models write an empty text for no arguments.
  if (text.trim() === "") return {};
  let args: unknown;
  try {
    args = JSON.parse(text);
  } catch (error) {
    throw new Error("the arguments are not JSON", { cause: error });
  }
  if (typeof args === "object" && args !== null && !Array.isArray(args)) return args as Record<string, Value>;
  throw new Error(`the arguments are ${formatValue(args)}; expected an object`);
}

/** The tool has had its effects: a result that cannot be written is no error, or the model would call it again. */
function resultContent(result: unknown): Value {
  const parts = contentParts(result);
  if (parts !== undefined) return parts.some(({ type }) => type !== "text") ? withinBytes(parts) : cut(textIn(parts));
  try {
    return cut(typeof result === "string" ? result : (JSON.stringify(result, plain) ?? ""));
  } catch {
    return "The call is done, but its result cannot be shown.";
  }
}

function textIn(parts: readonly ContentPart[]): string {
  return parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n\n");
}

/** The parts, each text and the sum of the others within its limit. A text says which part is left out. */
function withinBytes(parts: readonly ContentPart[]): readonly ContentPart[] {
  let [textBytes, mediaBytes] = [0, 0];
  return parts.map((part): ContentPart => {
    if (part.type === "text") {
      const text = cut(part.text, textBytesMax - textBytes);
      textBytes = Math.min(textBytesMax, textBytes + Buffer.byteLength(part.text));
      return text === part.text ? part : { type: "text", text };
    }
    const bytes = Buffer.byteLength(JSON.stringify(part));
    if (mediaBytes + bytes > mediaBytesMax) {
      const text = `[left out: ${part.type} of ${bytes} bytes; a result holds ${mediaBytesMax} bytes of pictures and files]`;
      return { type: "text", text };
    }
    mediaBytes += bytes;
    return part;
  });
}

function cut(text: string, bytesMax = textBytesMax): string {
  const bytes = Buffer.byteLength(text);
  if (bytes <= bytesMax) return text;
  // Decoding as a stream drops a character that was cut in two.
  const head = new TextDecoder().decode(Buffer.from(text).subarray(0, bytesMax), { stream: true });
  return `${head}\n[cut: the first ${bytesMax} of ${bytes} bytes]`;
}

/** Values that JSON does not know, as the model can read them; bytes as base64. */
function plain(this: Readonly<Record<string, unknown>>, key: string, value: unknown): unknown {
  // A Buffer is an object of numbers by now.
  const given = this[key];
  if (given instanceof Uint8Array) return base64Of(given);
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Map)
    return [...value.keys()].every((key) => typeof key === "string") ? Object.fromEntries(value) : [...value];
  if (value instanceof Set) return [...value];
  if (value instanceof Error) return { name: value.name, message: clip(value.message, errorLengthMax) };
  return value;
}
