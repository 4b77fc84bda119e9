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
import { restOf, textOf, timeIn, usageOf } from "../../conversations/about.ts";
import { besideOf } from "../../conversations/kept-beside.ts";
import { instructionsIn } from "../../conversations/listed-messages.ts";
import { listOf } from "../../conversations/lists.ts";

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
  readonly output: readonly Value[];
  /** False for a request whose response is not in its document. */
  readonly hasResponse: boolean;
  /** The name of a call in a batch, whose request and response are documents of their own. */
  readonly batchName: string | undefined;
  /** Answers beside the first one. */
  readonly otherChoices: number;
  readonly tools: number;
  readonly facts: MessageFacts;
  /** The fields around the messages. */
  readonly about: Fields;
  /** What request and response say beside the messages. */
  readonly beside: Fields | undefined;
  /** The headers of the request and the response, which may have keys: they are not kept. */
  readonly headers: number;
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

const openaiProvider: Provider = {
  format: openai,
  input: "messages",
  output: "choices",
  answers: inChoices("message"),
};

const providers: readonly Provider[] = [
  openaiProvider,
  { format: openaiResponses, input: "input", output: "output", answers: (items) => items },
  { format: gemini, input: "contents", output: "candidates", answers: inChoices("content") },
  {
    format: anthropic,
    input: "messages",
    output: "content",
    answers: (content) => (content.length === 0 ? [] : [{ role: "assistant", content }]),
  },
];

/**
 * The call in a document: `{request, response}`, both in one object, a request or a response of a batch, or a response alone;
 * undefined for another document.
 */
export function callIn(document: Fields): ModelCall | undefined {
  const { request, response, ...around } = document;
  if (isFields(request) && isFields(response)) {
    const call = callOf(bodyOf(request), bodyOf(response), around);
    return call && withEnvelopes(call, { request, response });
  }
  const isOne =
    document["object"] === "response" ||
    document["object"] === "chat.completion" ||
    inChoices("message")(listOf(document["choices"])).length > 0 ||
    inChoices("content")(listOf(document["candidates"])).length > 0;
  return isOne ? callOf(document, document, {}) : batchedCallIn(document);
}

/**
 * A line of a batch: of OpenAI `{custom_id, body}` and `{custom_id, response: {body}}`, of Anthropic `{custom_id, params}` and
 * `{custom_id, result: {message}}`, of Gemini `{key, request}` and `{key, response}`.
 * https://developers.openai.com/api/docs/guides/batch, https://docs.anthropic.com/en/api/creating-message-batches
 */
function batchedCallIn(document: Fields): ModelCall | undefined {
  const { body, params, request } = document;
  const batchName = textOf(document, ["custom_id", "key"]);
  const asked = [body, params, request].find(isFields);
  const answered = batchedResponseIn(document);
  if (batchName === undefined || (asked ?? answered) === undefined) return undefined;
  const usual = answered && openaiProvider;
  const call = callOf(asked ?? {}, answered ?? {}, { custom_id: batchName }, usual);
  if (call === undefined) return undefined;
  const { response, result } = document;
  const rest = restOf(document, ["body", "params", "request", "response", "result"]);
  const failed = answered !== undefined && Object.keys(answered).length === 0;
  const around = { ...rest, ...(failed && isFields(result) ? { result } : {}) };
  const whole = { ...call, batchName, hasResponse: answered !== undefined, beside: { ...around, ...call.beside } };
  return withEnvelopes(whole, defined({ response, result: failed ? undefined : result }));
}

/** The call, with the fields that stand beside the body of its request and of its response. */
function withEnvelopes(call: ModelCall, envelopes: Fields): ModelCall {
  const all = Object.entries(envelopes).filter((one): one is [string, Fields] => isFields(one[1]));
  const rest = all.flatMap(([name, envelope]) => {
    const isOne = name === "result" ? isFields(envelope["message"]) : isFields(envelope["body"]);
    const fields = isOne ? restOf(envelope, ["body", "message", "headers"]) : undefined;
    return fields === undefined ? [] : [[`${name}Envelope`, fields] as const];
  });
  const headers = all.map(([, envelope]) =>
    isFields(envelope["body"]) ? Object.keys(Object(envelope["headers"])).length : 0,
  );
  return {
    ...call,
    beside: rest.length === 0 ? call.beside : { ...call.beside, ...Object.fromEntries(rest) },
    headers: headers.reduce((sum, count) => sum + count, 0),
  };
}

/** The response of a line of a batch, without fields for a call that failed; undefined for a request. */
function batchedResponseIn({ response, result, error }: Fields): Fields | undefined {
  if (isFields(response)) return bodyOf(response);
  if (!isFields(result)) return isFields(error) ? {} : undefined;
  return isFields(result["message"]) ? result["message"] : {};
}

/** A request and a response of a batch as one call. It has no id, as its request has none: an import of both finds that. */
export function joinedCall(request: ModelCall, response: ModelCall): ModelCall {
  const { output, otherChoices, hasResponse } = response;
  return {
    ...request,
    id: undefined,
    output,
    otherChoices,
    hasResponse,
    facts: { ...request.facts, ...response.facts },
    beside: { ...request.beside, ...response.beside },
  };
}

/** A proxy logs the body beside the headers. */
function bodyOf(message: Fields): Fields {
  return isFields(message["body"]) ? message["body"] : message;
}

/** `usual` is the provider of a call that says nothing of its own, such as one that failed. */
function callOf(request: Fields, response: Fields, around: Fields, usual?: Provider): ModelCall | undefined {
  const provider =
    providers.find(({ output }) => Array.isArray(response[output])) ??
    providers.find(({ input }) => request[input] !== undefined) ??
    usual;
  if (provider === undefined) return undefined;
  const { format, input, output } = provider;
  const answers = provider.answers(listOf(response[output]));
  const isOfItems = format === openaiResponses;
  const { tools, conversation } = { ...request, ...around };
  const { [input]: _, [output]: _output, ...rest } = { ...request, ...(request === response ? {} : around) };
  const instructions = isOfItems
    ? textIn(request["instructions"] ?? response["instructions"])
    : instructionsIn(request);
  const said = isOfItems ? answers : answers.slice(0, 1);
  const outputs = listOf(response[output]);
  const own = defined({ ...response, [output]: isOfItems || format === anthropic ? outputs : outputs.slice(0, 1) });
  const [ofRequest, ofResponse, ...others] = [request, own, around].map(
    (fields) => restOf(fields, ["tools", input]) ?? {},
  );
  const parts: Fields =
    request === response ? ofResponse! : Object.assign({ request: ofRequest!, response: ofResponse! }, ...others);
  return {
    id: textOf(response, ["id", "responseId"]),
    previous: textOf({ ...response, ...request }, ["previous_response_id"]),
    conversation: isFields(conversation)
      ? textOf(conversation, ["id"])
      : textOf({ conversation: conversation ?? "" }, ["conversation"]),
    format,
    instructions,
    input: isOfItems || format === gemini ? asMessages(request[input], format) : listOf(request[input]),
    output: said,
    hasResponse: true,
    batchName: undefined,
    otherChoices: isOfItems ? 0 : Math.max(answers.length - 1, 0),
    tools: Array.isArray(tools) ? tools.length : 0,
    facts: defined({
      at: timeIn(around) ?? timeIn(response, ["created_at", "created"]) ?? timeIn(request),
      model: textOf(response, ["model", "modelVersion"]) ?? textOf(request, ["model"]),
      usage: usageOf(response["usage"] ?? response["usageMetadata"]),
    }),
    about: Object.fromEntries(Object.entries(rest).filter(([name]) => !notAbout.has(name))),
    beside: besideOf(parts, [instructions, ...said], { words: Object.keys(parts) }),
    headers: 0,
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

/** An input may be a text alone. */
function asMessages(input: Value | undefined, format: MessageFormat): readonly Value[] {
  if (typeof input !== "string") return listOf(input);
  return [format === gemini ? { role: "user", parts: [{ text: input }] } : { role: "user", content: input }];
}
