/** A session as Markdown, for people. */
import { isFields, jsonOf, knownPart, type Part } from "../domain/turns/known-parts.ts";
import { partsOf, textOf } from "../domain/turns/message-steps.ts";
import type { Message, ToolCall, TurnData } from "../domain/turns/turn.ts";
import type { Value } from "../domain/values/codec.ts";
import { counted } from "../errors/counted.ts";
import { mediumOf } from "../formats/shown-parts.ts";
import type { SessionSnapshot } from "../sessions/snapshots/snapshot-text.ts";
import { mediaKind } from "./left-out.ts";
import { oneLine, quoted, quotedLine } from "./quoted-text.ts";

/** A turn with its number and its time, epoch ms. */
export interface NumberedTurn extends TurnData {
  readonly seq: number;
  readonly at: number;
}

/** The text of a session, with its instructions and turns. Instructions and messages are quotes: a heading outside of them is of the export. */
export function markdownOf(
  { id, agent, user, title, state, createdAt, counters }: SessionSnapshot["session"],
  { instructions, turns }: { readonly instructions: string | undefined; readonly turns: readonly NumberedTurn[] },
): string {
  const about = [
    `agent ${agent}`,
    ...(user === null ? [] : [`user ${user}`]),
    state,
    `created ${instantText(createdAt)}`,
  ];
  const usage = `${counted(counters.turns, "turn")}, ${counted(counters.totalTokens, "token")}`;
  const toolNames = new Map<string, string>();
  const parts = [
    `# ${quotedLine(title == null ? id : `${title} (${id})`)}`,
    quotedLine([...about, usage].join(" · ")),
    ...(instructions !== undefined ? [quoted(instructions)] : []),
    ...turns.map((turn) => turnText(turn, toolNames)),
  ];
  return `${parts.join("\n\n")}\n\n`;
}

function turnText(
  { seq, at, status, agent, input, output, error }: NumberedTurn,
  toolNames: Map<string, string>,
): string {
  const ending = status === "done" ? "" : ` · ${status}${error === undefined ? "" : ` (${error.message})`}`;
  const heading = quotedLine(`## Turn ${seq} · ${instantText(at)} · ${agent}${ending}`);
  return [heading, ...[...input, ...output].map((message) => messageText(message, toolNames))].join("\n\n");
}

function messageText(message: Message, toolNames: Map<string, string>): string {
  const { role, name, content, tool_calls: calls, tool_call_id: callId } = message;
  if (role === "tool" && callId !== undefined)
    return resultText({ id: callId, content, isError: message["is_error"] === true }, toolNames);
  const about = [role, name].filter((one) => one !== undefined && one !== null).join(" ");
  const shown = partsOf(message).map((part) => partText(part, toolNames));
  // Recorded answers without calls may have null there.
  const called = (calls ?? []).map((call) => callText(call, toolNames));
  return [`**${quotedLine(about)}**`, ...shown, ...called].filter((text) => text !== "").join("\n\n");
}

/** A text as a quote, a picture or a file by its name and size, calls and results folded. */
function partText(part: Value, toolNames: Map<string, string>): string {
  const known = knownPart(part);
  switch (known.kind) {
    case "text": {
      const text = known.part["text"] as string;
      return text === "" ? "" : quoted(text);
    }
    case "media":
      return mediumText(known.part, part);
    case "call": {
      const { result } = known;
      const answered = result === undefined ? [] : [messageText(result, toolNames)];
      return [callText(known.call, toolNames), ...answered].join("\n\n");
    }
    case "result":
      return messageText(known.result, toolNames);
    case "step":
      return "";
    case "other":
      return otherText(part);
  }
}

/** The type of a part that is no text: `[source-url]`. */
function otherText(part: Value): string {
  const type = isFields(part) ? part["type"] : undefined;
  return typeof type === "string" && type !== "text"
    ? `[${quotedLine([type, nameIn(part) ?? ""].join(" ").trimEnd())}]`
    : "";
}

/** `[picture a.png, image/png, 12 KB]`, or the address of a picture. `written`: the part as it is stored. */
function mediumText(part: Part, written: Value): string {
  const { filename = nameIn(written), mediaType, base64, url, fileId } = mediumOf(part);
  const name = filename === undefined ? mediaKind(part) : `${mediaKind(part)} ${filename}`;
  const where = base64 === undefined ? (fileId ?? url) : undefined;
  const size = base64 === undefined ? undefined : sizeText((base64.length * 3) / 4);
  const about = [name, mediaType === "image/*" ? undefined : mediaType, where, size];
  return `[${quotedLine(about.filter((one) => one !== undefined && one !== "").join(", "))}]`;
}

function nameIn(part: Value): string | undefined {
  const name = isFields(part) ? (part["filename"] ?? part["name"]) : undefined;
  return typeof name === "string" ? name : undefined;
}

function sizeText(bytes: number): string {
  if (bytes < 1000) return counted(Math.floor(bytes), "byte");
  return bytes < 1e6 ? `${Math.round(bytes / 1000)} KB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function callText({ id, function: { name, arguments: given } }: ToolCall, toolNames: Map<string, string>): string {
  toolNames.set(id, name);
  return folded(`calls ${name} (${id})`, fenced(given, "json"));
}

function resultText(
  { id, content, isError }: { readonly id: string; readonly content: Value | undefined; readonly isError: boolean },
  toolNames: ReadonlyMap<string, string>,
): string {
  const name = toolNames.get(id);
  const summary = `${isError ? "failure" : "result"}${name === undefined ? "" : ` of ${name}`} (${id})`;
  if (typeof content === "string") return folded(summary, fenced(content, ""));
  const parts = Array.isArray(content) ? (content as readonly Value[]) : [];
  const media = parts.filter((part) => knownPart(part).kind === "media");
  const text = media.length > 0 || parts.length > 0 ? textOf(content) : "";
  const shown = media.map((part) => partText(part, new Map()));
  const isText = text !== "" || shown.length > 0;
  const body = isText
    ? [...(text === "" ? [] : [fenced(text, "")]), ...shown]
    : [fenced(jsonOf(content ?? "", 2), "json")];
  return folded(summary, body.join("\n\n"));
}

/** HTML that Markdown viewers fold. An empty line lets them read Markdown inside. */
function folded(summary: string, body: string): string {
  const text = oneLine(summary).replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<details><summary>${text}</summary>\n\n${body}\n\n</details>`;
}

/** Uses a fence longer than any within the text. */
function fenced(text: string, language: string): string {
  let longest = 2;
  for (const [ticks] of text.matchAll(/`+/g)) longest = Math.max(longest, ticks.length);
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${text}\n${fence}`;
}

function instantText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}
