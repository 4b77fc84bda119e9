/**
 * Calls and results inside texts, as the Hermes models of Nous Research write them: `<tool_call>{"name", "arguments"}</tool_call>`
 * in an answer, `<tool_response>…</tool_response>` in the message of a tool. Some data sets write the objects as Python does.
 */
import { isFields, jsonOf, type Fields } from "../domain/turns/known-parts.ts";
import type { Value } from "../domain/values/codec.ts";

/** The words of an answer around its calls, and the calls. */
export interface TextWithCalls {
  /** Null for calls alone. */
  readonly content: string | null;
  readonly calls: readonly Fields[];
}

/** The calls in the text of an answer; undefined where a tag holds no call, and for a text without tags. */
export function callsInText(text: string): TextWithCalls | undefined {
  const calls = insideTags(text, "tool_call").map(dataIn);
  if (calls.length === 0 || !calls.every(isCall)) return undefined;
  const words = text.replace(tags("tool_call"), "").trim();
  return { content: words === "" ? null : words, calls };
}

/** The results in the text of a tool; undefined for a text without tags. */
export function responsesInText(text: string): readonly string[] | undefined {
  const inside = insideTags(text, "tool_response");
  if (inside.length === 0) return undefined;
  return inside.map((response) => {
    const data = dataIn(response);
    const content = isFields(data) && data["name"] !== undefined ? data["content"] : undefined;
    if (content === undefined) return response;
    return typeof content === "string" ? content : jsonOf(content);
  });
}

/** The last tag of a text that was cut off has no end. */
function tags(name: string): RegExp {
  return new RegExp(`<${name}>([^]*?)(?:</${name}>|$)`, "g");
}

function insideTags(text: string, name: string): readonly string[] {
  return [...text.matchAll(tags(name))].map(([, inside = ""]) => inside.trim());
}

function isCall(data: Value | undefined): data is Fields {
  return isFields(data) && typeof data["name"] === "string";
}

/** The object in JSON or in Python's notation; undefined for another text. */
function dataIn(text: string): Value | undefined {
  return parsed(text) ?? parsed(text.replace(pythonTokens, inJson));
}

function parsed(text: string): Value | undefined {
  try {
    return JSON.parse(text) as Value;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

const pythonTokens = /'((?:[^'\\]|\\.)*)'|"(?:[^"\\]|\\.)*"|\b(?:True|False|None)\b/gs;
const constants: Readonly<Record<string, string>> = { True: "true", False: "false", None: "null" };
const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r" };

function inJson(token: string, single: string | undefined): string {
  if (single === undefined) return constants[token] ?? token;
  return JSON.stringify(single.replace(/\\(.)/gs, (_, escaped: string) => escapes[escaped] ?? escaped));
}
