/** Answers of Open WebUI: items like those of OpenAI's Responses, and in older versions HTML inside the text. */
import { isFields, jsonOf, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { listOf } from "../../conversations/lists.ts";

/** The parts of the items of an answer. Its own parts are those of its text, for an answer whose items have no words. */
export function partsOfOutput(items: readonly Value[], own: readonly Value[]): readonly Value[] {
  const parts = items.flatMap((item): readonly Value[] => {
    if (!isFields(item)) return [];
    const { type, content } = item;
    if (type === "message") return listOf(content);
    return type === "open_webui:code_interpreter" ? codeAndResult(item) : [item];
  });
  const hasWords = parts.some((part) => isFields(part) && (part["type"] === "output_text" || part["type"] === "text"));
  return hasWords ? parts : [...parts, ...own.filter((part) => isFields(part) && part["type"] === "text")];
}

function codeAndResult({ id, code, lang, language = lang, output }: Fields): readonly Value[] {
  return callAndResult({
    id: typeof id === "string" ? id : "",
    name: "code_interpreter",
    input: { code: code ?? "", ...(typeof language === "string" ? { language } : {}) },
    result: output === undefined || output === null ? undefined : typeof output === "string" ? output : jsonOf(output),
  });
}

interface CalledTool {
  readonly id: string;
  readonly name: string;
  readonly input: Value;
  readonly result: string | undefined;
}

function callAndResult({ id, name, input, result }: CalledTool): readonly Value[] {
  const call = { type: "tool_use", id, name, input };
  return result === undefined ? [call] : [call, { type: "tool_result", tool_use_id: id, content: result }];
}

/** An element that Open WebUI writes; others are words of the model. */
const details = /<details type="(reasoning|tool_calls|code_interpreter)"([^>]*)>([\s\S]*?)<\/details>/g;

/** The parts of a text with elements: what was thought, calls with their results, and the words between. */
export function partsOfDetails(content: string): readonly Value[] {
  const parts: Value[] = [];
  let from = 0;
  const words = (to: number): void => {
    const text = content.slice(from, to).trim();
    if (text !== "") parts.push({ type: "text", text });
  };
  for (const found of content.matchAll(details)) {
    const [whole, kind = "", attributes = "", body = ""] = found;
    words(found.index);
    from = found.index + whole.length;
    parts.push(...partsOfElement({ kind, attributes: attributesIn(attributes), body: withoutSummary(body) }));
  }
  if (from === 0) return [{ type: "text", text: content }];
  words(content.length);
  return parts;
}

interface DetailsElement {
  readonly kind: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly body: string;
}

function partsOfElement({ kind, attributes, body }: DetailsElement): readonly Value[] {
  if (kind === "reasoning") return [{ type: "reasoning", text: unescaped(body).replaceAll(/^> ?/gm, "") }];
  const isDone = attributes.get("done") !== "false";
  if (kind === "code_interpreter") {
    const [, language = "", code = body] = /^```(\w*)\n([\s\S]*?)\n?```/.exec(body) ?? [];
    const result = attributes.get("output");
    return codeAndResult({ code, ...(language === "" ? {} : { language }), output: result ?? null });
  }
  const given = decoded(attributes.get("arguments") ?? "{}");
  const result = attributes.get("result") ?? (isDone ? unescaped(body) : undefined);
  return callAndResult({
    id: attributes.get("id") ?? "",
    name: attributes.get("name") ?? "tool",
    input: given,
    result: result === undefined ? undefined : textOfResult(decoded(result)),
  });
}

function textOfResult(value: Value): string {
  return typeof value === "string" ? value : jsonOf(value);
}

/** The value that a JSON text says, once more for a text inside a text; else the text. */
function decoded(text: string): Value {
  try {
    return JSON.parse(text) as Value;
  } catch {
    return text;
  }
}

function attributesIn(text: string): ReadonlyMap<string, string> {
  return new Map(
    [...text.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name = "", value = ""]) => [name, unescaped(value)] as const),
  );
}

function withoutSummary(body: string): string {
  return body.replace(/^\s*<summary>[\s\S]*?<\/summary>/, "").trim();
}

const entities: Readonly<Record<string, string>> = {
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&#x27;": "'",
  "&#39;": "'",
  "&amp;": "&",
};

function unescaped(text: string): string {
  return text.replaceAll(/&(?:lt|gt|quot|#x27|#39|amp);/g, (entity) => entities[entity]!);
}
