/**
 * Eval sets of Google's Agent Development Kit: each case is a conversation, with the calls and the answer that are expected. Older
 * forms are a list of cases with `data`, and the exchanges of one case alone.
 * https://github.com/google/adk-python/blob/main/src/google/adk/evaluation/eval_case.py
 */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import { sameValue } from "../../../domain/values/same-value.ts";
import { gemini } from "../../../formats/gemini.ts";
import type { Conversation } from "../../../sessions/transfer/conversation.ts";
import { aboutConversation, factsOf, restOf, textOf, timeIn } from "../../conversations/about.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { besideOf } from "../../conversations/kept-beside.ts";
import { LeftOutCounts } from "../../conversations/left-out.ts";
import { fieldsIn } from "../../conversations/lists.ts";
import { noMessages } from "../../conversations/refusals.ts";
import { messagesOfWritten, withoutLooseResults, type WrittenMessage } from "../../conversations/written-messages.ts";
import { withoutNulls } from "./adk.ts";

export const adkEval: ConversationFormat = {
  name: "adk-eval",
  title: "an eval set of the Agent Development Kit",
  kindOf: (document) => {
    if (!isFields(document)) return undefined;
    if (isCase(document) || casesIn(document) !== undefined) return "conversation";
    return isInvocation(document) ? "entry" : undefined;
  },
  read: (documents) => {
    const [{ value, place }] = documents;
    const fields = value as Fields;
    if (isInvocation(fields)) return [conversationOf({ data: documents.map((one) => one.value) }, place)];
    const cases = casesIn(fields);
    if (cases === undefined) return [conversationOf(fields, place)];
    const spoken = cases.filter((one) => invocationsOf(one) !== undefined);
    if (spoken.length === 0) throw noMessages(place);
    const evalSet = restOf(fields, ["eval_cases", "evalCases"]);
    const set = textOf(fields, ["eval_set_id", "evalSetId"]);
    return spoken.map((one, index) => {
      const { id, metadata, ...conversation } = conversationOf(one, place);
      const scenarios = index === 0 ? cases.length - spoken.length : 0;
      // The ids of cases are those of one set alone.
      const own = set === undefined || id === undefined ? id : `${set}-${id}`;
      return {
        ...conversation,
        ...defined({ id: own }),
        metadata: defined({ ...metadata, evalSet }),
        // A simulated user asks in those: they have no words of their own.
        leftOut: { ...conversation.leftOut, scenario: scenarios },
      };
    });
  },
};

/** The cases of a set; undefined for another document. */
function casesIn(set: Fields): readonly Fields[] | undefined {
  const cases = set["eval_cases"] ?? set["evalCases"];
  if (!Array.isArray(cases)) return undefined;
  return (cases as readonly Value[]).every((one) => isFields(one) && isCase(one))
    ? (cases as readonly Fields[])
    : undefined;
}

function isCase(fields: Fields): boolean {
  const list = invocationsOf(fields);
  const isScenario = isFields(fields["conversation_scenario"] ?? fields["conversationScenario"]);
  return list === undefined
    ? isScenario && textOf(fields, ["eval_id", "evalId"]) !== undefined
    : list.every(isInvocation);
}

function invocationsOf({ conversation, data = conversation }: Fields): readonly Value[] | undefined {
  return Array.isArray(data) && data.length > 0 ? (data as readonly Value[]) : undefined;
}

function isInvocation(value: Value): value is Fields {
  if (!isFields(value)) return false;
  const isOlder =
    typeof value["query"] === "string" && ["reference", "expected_tool_use"].some((name) => name in value);
  return isOlder || isFields(value["user_content"] ?? value["userContent"]);
}

/** @throws SessionError `message_invalid` for a case without messages, such as a scenario for a simulated user */
function conversationOf(fields: Fields, place: string): Conversation {
  const leftOut = new LeftOutCounts();
  const invocations = (invocationsOf(fields) ?? []).filter(isInvocation);
  const written = invocations.flatMap(writtenIn);
  if (written.length === 0) throw noMessages(place);
  const {
    conversation: _,
    data: _data,
    session_input: input,
    sessionInput = input,
    initial_session: initial,
    ...rest
  } = fields;
  const sessions = [sessionInput, initial].filter((one) => one !== undefined).filter(isFields);
  const [session = {}, otherSession] = sessions;
  const { app_name: app, appName = app, user_id: user, userId = user, state } = session;
  const around = defined({
    ...rest,
    user: userId,
    agent: appName,
    state,
    sessionInput: restOf(session, ["app_name", "appName", "user_id", "userId", "state"]),
    initialSession: otherSession,
  });
  const idName = ["eval_id", "evalId", "name"].find((name) => textOf(fields, [name]) !== undefined);
  const { id: _id, ...about } = aboutConversation(around, [...createdNames, ...(idName === undefined ? [] : [idName])]);
  const read = messagesOfWritten(written, { place, format: gemini, form: "adk-eval" });
  const { messages, loose } = withoutLooseResults(read.messages);
  leftOut.add("stray result", loose);
  return {
    ...about,
    ...defined({ id: textOf(fields, ["eval_id", "evalId", "name"]), createdAt: timeIn(fields, createdNames) }),
    metadata: { ...about.metadata, source: "adk-eval" },
    ...read,
    messages,
    leftOut: leftOut.all,
  };
}

const createdNames = ["creation_timestamp", "creationTimestamp"];

/** What a user asked, the calls with their results in between, and the answer. */
function writtenIn(invocation: Fields): readonly WrittenMessage[] {
  const { query, reference, user_content: asked = query, userContent = asked } = invocation;
  const { final_response: answered = reference, finalResponse = answered } = invocation;
  const facts = defined({ at: timeIn(invocation, createdNames) });
  const between = [invocation["intermediate_data"], invocation["intermediateData"]].find(isFields) ?? {};
  const events = fieldsIn(between["invocation_events"] ?? between["invocationEvents"]);
  const said = events.length > 0 ? events.flatMap(eventIn) : stepsIn(invocation, between);
  const [final] = contentOf("model", finalResponse);
  // The events may have the answer too.
  const isSaid = final === undefined || sameValue(said.at(-1)?.value ?? null, final.value);
  const all = [...contentOf("user", userContent), ...said, ...(isSaid ? [] : [final])];
  const beside = besideOf(
    invocation,
    all.map(({ value }) => value),
    { words: wordNames },
  );
  return all.map((one, index) => ({ ...one, facts: { ...facts, ...one.facts }, ...(index === 0 ? { beside } : {}) }));
}

/** The fields of an invocation with its words, its calls and their results. */
const wordNames = [
  "query",
  "reference",
  "user_content",
  "userContent",
  "final_response",
  "finalResponse",
  "intermediate_data",
  "intermediateData",
  "expected_tool_use",
];

/** The tools that are used, with their results where the case has them. */
function stepsIn(invocation: Fields, between: Fields): readonly WrittenMessage[] {
  const uses = fieldsIn(between["tool_uses"] ?? between["toolUses"] ?? invocation["expected_tool_use"]);
  const responses = fieldsIn(between["tool_responses"] ?? between["toolResponses"]);
  const calls = uses.map(({ tool_name: older, tool_input: input, name = older, args = input, id }): Value => ({
    functionCall: defined({ id, name, args }) as Fields,
  }));
  return [
    ...contentOf("model", { parts: calls }),
    ...contentOf("user", { parts: responses.map((response): Value => ({ functionResponse: withoutNulls(response) })) }),
  ];
}

/** An event of the agent, in newer sets. */
function eventIn(event: Fields): readonly WrittenMessage[] {
  const { content } = event;
  const role = isFields(content) && content["role"] === "user" ? "user" : "model";
  return contentOf(role, content).map((one) => ({ ...one, facts: factsOf(event) }));
}

/** A content of Gemini, or a text; nothing for one without parts. */
function contentOf(role: "user" | "model", content: Value | undefined): readonly WrittenMessage[] {
  const parts = isFields(content) ? fieldsIn(content["parts"]).map(withoutNulls) : [];
  const all = typeof content === "string" && content !== "" ? [{ text: content }] : parts;
  return all.length === 0 ? [] : [{ value: { role, parts: all }, facts: {} }];
}
