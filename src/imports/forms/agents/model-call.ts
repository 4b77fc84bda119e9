/** One call of a model in a log: what was asked, and what was answered, in the format of its provider. */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import { textOf as textIn } from "../../../domain/turns/message-steps.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import { anthropic } from "../../../formats/anthropic.ts";
import { gemini } from "../../../formats/gemini.ts";
import type { MessageFormat } from "../../../formats/message-format.ts";
import { openaiResponses } from "../../../formats/openai-items.ts";
import { openai } from "../../../formats/openai.ts";
import type { MessageFacts } from "../../../sessions/transfer/conversation.ts";
import { textOf, timeIn, usageOf } from "../../conversations/about.ts";
import { instructionsIn } from "../../conversations/listed-messages.ts";

export interface ModelCall {
  /** The id of the response. */
  readonly id: string | undefined;
  /** The response that the request continues. */
  readonly previous: string | undefined;
  /** The conversation that the request is a part of. */
  readonly conversation: string | undefined;
  readonly format: MessageFormat;
  readonly instructions: string;
  readonly input: readonly Value[];
  /** Empty for a call that failed. */
  readonly output: readonly Value[];
  /** Answers beside the first one. */
  readonly otherChoices: number;
  readonly tools: number;
  readonly facts: MessageFacts;
  /** The fields around the messages. */
  readonly about: Fields;
}

interface Provider {
  readonly format: MessageFormat;
  /** The field of the request with its messages. */
  readonly input: string;
  /** The field of the response with its answer. */
  readonly output: string;
  /** The messages of the answer. */
  readonly answers: (output: readonly Value[]) => readonly Value[];
}

/** Each choice is an answer. */
const inChoices = (name: string) => (choices: readonly Value[]) =>
  choices.flatMap((choice) => (isFields(choice) && isFields(choice[name]) ? [choice[name]] : []));

const providers: readonly Provider[] = [
  { format: openai, input: "messages", output: "choices", answers: inChoices("message") },
  { format: openaiResponses, input: "input", output: "output", answers: (items) => items },
  { format: gemini, input: "contents", output: "candidates", answers: inChoices("content") },
  {
    format: anthropic,
    input: "messages",
    output: "content",
    answers: (content) => (content.length === 0 ? [] : [{ role: "assistant", content }]),
  },
];

/** The call in a document: `{request, response}`, or both in one object; undefined for another document. */
export function callIn(document: Fields): ModelCall | undefined {
  const { request, response, ...around } = document;
  if (isFields(request) && isFields(response)) return callOf(bodyOf(request), bodyOf(response), around);
  const isOne =
    document["object"] === "response" || (Array.isArray(document["choices"]) && Array.isArray(document["messages"]));
  return isOne ? callOf(document, document, {}) : undefined;
}

/** A proxy logs the body beside the headers. */
function bodyOf(message: Fields): Fields {
  return isFields(message["body"]) ? message["body"] : message;
}

function callOf(request: Fields, response: Fields, around: Fields): ModelCall | undefined {
  const provider =
    providers.find(({ output }) => Array.isArray(response[output])) ??
    providers.find(({ input }) => request[input] !== undefined);
  if (provider === undefined) return undefined;
  const { format, input, output } = provider;
  const answers = provider.answers(listOf(response[output]));
  const isOfItems = format === openaiResponses;
  const { tools, conversation } = { ...request, ...around };
  const { [input]: _, [output]: _output, ...rest } = { ...request, ...(request === response ? {} : around) };
  return {
    id: textOf(response, ["id", "responseId"]),
    previous: textOf({ ...response, ...request }, ["previous_response_id"]),
    conversation: isFields(conversation)
      ? textOf(conversation, ["id"])
      : textOf({ conversation: conversation ?? "" }, ["conversation"]),
    format,
    instructions: isOfItems ? textIn(request["instructions"] ?? response["instructions"]) : instructionsIn(request),
    input: isOfItems || format === gemini ? asMessages(request[input], format) : listOf(request[input]),
    output: isOfItems ? answers : answers.slice(0, 1),
    otherChoices: isOfItems ? 0 : Math.max(answers.length - 1, 0),
    tools: Array.isArray(tools) ? tools.length : 0,
    facts: defined({
      at: timeIn(around) ?? timeIn(response, ["created_at", "created"]) ?? timeIn(request),
      model: textOf(response, ["model", "modelVersion"]) ?? textOf(request, ["model"]),
      usage: usageOf(response["usage"] ?? response["usageMetadata"]),
    }),
    about: Object.fromEntries(Object.entries(rest).filter(([name]) => !notAbout.has(name))),
  };
}

/** Fields of a request that have a place elsewhere, or none. */
const notAbout = new Set([
  "system",
  "systemInstruction",
  "system_instruction",
  "instructions",
  "tools",
  "model",
  "stream",
  "usage",
  "object",
  "status",
  "output_text",
]);

function listOf(value: Value | undefined): readonly Value[] {
  return Array.isArray(value) ? (value as readonly Value[]) : [];
}

/** An input may be a text alone. */
function asMessages(input: Value | undefined, format: MessageFormat): readonly Value[] {
  if (typeof input !== "string") return listOf(input);
  return [format === gemini ? { role: "user", parts: [{ text: input }] } : { role: "user", content: input }];
}
