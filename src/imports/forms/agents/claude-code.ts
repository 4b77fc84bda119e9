/** Session logs of Claude Code: a file of lines for each session, and one for each of its sub-agents. */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import { sameValue } from "../../../domain/values/same-value.ts";
import { anthropic } from "../../../formats/anthropic.ts";
import type { Conversation, MessageFacts } from "../../../sessions/transfer/conversation.ts";
import { textOf, timeIn, usageOf } from "../../conversations/about.ts";
import { besideOf } from "../../conversations/kept-beside.ts";
import { LeftOutCounts } from "../../conversations/left-out.ts";
import { conversationsOfTree } from "../../conversations/branched.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { listOf } from "../../conversations/lists.ts";
import { noMessages } from "../../conversations/refusals.ts";
import { messagesOfWritten, withoutLooseResults, type WrittenMessage } from "../../conversations/written-messages.ts";
import { blocksOf, ClaudeLog, type Step, type Thread } from "./claude-code-log.ts";

export const claudeCode: ConversationFormat = {
  name: "claude-code",
  title: "a session of Claude Code",
  isLog: true,
  kindOf: (document) => {
    if (!isFields(document)) return undefined;
    if (isLine(document)) return "entry";
    return isListing(document) ? "conversation" : undefined;
  },
  read: (documents, options) => {
    const [{ value, place }] = documents;
    if (isListing(value as Fields)) return [];
    const log = new ClaudeLog(documents.map((document) => document.value as Fields));
    const { threads } = log;
    if (threads.length === 0) throw noMessages(place);
    const subAgents = threads.filter(({ agent }) => agent !== undefined);
    const sessions = threads.filter(({ agent }) => agent === undefined);
    // The file of a sub-agent has no other lines.
    const areAll = options.branches === "fork" || sessions.length === 0;
    return (areAll ? threads : sessions).flatMap((thread) => {
      const own = areAll ? [] : subAgents.filter(({ session }) => session === thread.session);
      const steps = stepsOf(thread);
      const byId = new Map(steps.map((step) => [step.id, step]));
      return conversationsOfTree(
        {
          nodes: steps.map(({ id, parent, lines: [line] }) => ({ id, parent: parent?.id, at: timeIn(line) })),
          current: thread.steps.at(-1)?.id,
          read: (ids) =>
            conversationOf(thread, {
              steps: ids.map((id) => byId.get(id)!),
              title: thread.agent === undefined ? log.titleOf(thread) : undefined,
              otherTitles: log.otherTitlesOf(thread),
              subAgents: own,
              place,
            }),
        },
        options,
      );
    });
  },
};

/** Fields of lines, of which each line has one. */
const lineFields = ["sessionId", "session_id", "uuid", "parentUuid", "leafUuid", "snapshot"] as const;

/** A line has a type. Messages of LangChain have one too, and may name a session; their fields are in the line, or in `data`. */
function isLine(fields: Fields): boolean {
  const { type, message, content, payload, data, kwargs, uuid, sessionId } = fields;
  // A log of Gemini CLI has the words of the user as `message`, and no ids.
  const isPrompt = typeof message === "string" && uuid === undefined;
  // The progress of a hook or a tool has `data`, too.
  const isLangchain = (isFields(data) || isFields(kwargs)) && (uuid === undefined || sessionId === undefined);
  const isSaid = content !== undefined && message === undefined && !typesWithContent.has(type);
  const isOther = payload !== undefined || isLangchain || isPrompt || isSaid;
  if (typeof type !== "string" || isOther) return false;
  return lineFields.some((name) => fields[name] !== undefined) || (isFields(message) && message["role"] === type);
}

/** The types of lines that have a content beside their type. */
const typesWithContent = new Set<unknown>(["system", "queue-operation"]);

/** The files beside the logs of a project: the index of its sessions, and the description of a sub-agent. */
function isListing({ entries, agentType, type }: Fields): boolean {
  const list = listOf(entries);
  const isIndex = list.length > 0 && list.every((entry) => isFields(entry) && typeof entry["sessionId"] === "string");
  return type === undefined && (isIndex || typeof agentType === "string");
}

/** The steps of a thread, and those of another session that it continues. */
function stepsOf({ steps }: Thread): readonly Step[] {
  const all = new Set<Step>();
  for (const last of steps)
    for (let step: Step | undefined = last; step !== undefined && !all.has(step); step = step.parent) all.add(step);
  return [...all];
}

interface Branch {
  readonly steps: readonly Step[];
  readonly title: string | undefined;
  readonly otherTitles: number;
  /** The sub-agents whose lines are in the file of the session. */
  readonly subAgents: readonly Thread[];
  readonly place: string;
}

function conversationOf(
  { session, agent, first, leftOut }: Thread,
  { steps, title, otherTitles, subAgents, place }: Branch,
): Conversation {
  const details = new LeftOutCounts();
  const written = steps.flatMap((step) => writtenIn(step, { first, details }));
  const read = messagesOfWritten(written, { place, format: anthropic, form: "claude-code" });
  const { messages, loose } = withoutLooseResults(read.messages);
  const isSubAgent = agent !== undefined;
  const id = isSubAgent ? `${session ?? "session"}-agent-${agent}` : session;
  const { cwd, gitBranch, version } = first;
  return {
    ...defined({ id, title, createdAt: timeIn(first) }),
    metadata: defined({
      source: "claude-code",
      cwd,
      gitBranch,
      version,
      subAgentOf: isSubAgent ? session : undefined,
    }),
    ...read,
    messages,
    leftOut: {
      ...leftOut.all,
      ...details.all,
      "other title": otherTitles,
      "stray result": loose,
      "sub-agent message": subAgents.reduce(
        (count, { steps: all }) => count + all.flatMap(({ lines }) => lines).length,
        0,
      ),
    },
  };
}

/** Fields that most lines of a session repeat. */
const repeatedNames = ["sessionId", "session_id", "cwd", "gitBranch", "version"];

interface LinesAround {
  /** The first line of the session. */
  readonly first: Fields;
  readonly details: LeftOutCounts;
}

/** The fields of a line beside its message. What a tool returned to Claude Code itself is counted: it may be whole files. */
function besideLine(line: Fields, value: Value, { first, details }: LinesAround): Fields | undefined {
  const placed = ["type", ...repeatedNames.filter((name) => sameValue(line[name], first[name]))];
  const rest = besideOf(line, [value], { placed, words: ["message", "attachment", "content", "toolUseResult"] });
  if (rest?.["toolUseResult"] === undefined) return rest;
  details.add("detail of a tool result");
  const { toolUseResult: _, ...others } = rest;
  return others;
}

/** The messages of a step: the lines of one answer as one message, and each line of the user. */
function writtenIn({ lines }: Step, around: LinesAround): readonly WrittenMessage[] {
  const answers = lines.filter(({ type }) => type === "assistant");
  const [answer] = answers;
  const ofUser = lines.filter(({ type }) => type !== "assistant");
  const results = ofUser.filter(hasResult);
  const others = [...results, ...ofUser.filter((line) => !hasResult(line))].map((line) => {
    const value = { role: "user", content: wordsIn(line) };
    return { value, facts: defined({ at: timeIn(line) }), beside: besideLine(line, value, around) };
  });
  if (answer === undefined) return others;
  const value = { role: "assistant", content: plainContent(answers.flatMap(blocksOf)) };
  const besides = answers.map((line) => besideLine(line, value, around)).filter((one) => one !== undefined);
  const beside: Fields | undefined = besides.length > 1 ? { lines: besides } : besides[0];
  return [{ value, facts: factsOf(answers), beside }, ...others];
}

/** The text of a content that is one text. */
function plainContent(content: Value): Value {
  const [block, ...others] = listOf(content);
  const isText = others.length === 0 && isFields(block) && block["type"] === "text" && Object.keys(block).length === 2;
  return isText ? (block["text"] ?? "") : content;
}

function hasResult(line: Fields): boolean {
  return blocksOf(line).some((block) => isFields(block) && block["type"] === "tool_result");
}

/** A queued command has the words of the user in its attachment, and an operation of the queue beside its type. */
function wordsIn({ message, attachment, content: own }: Fields): Value {
  const content = isFields(message) ? message["content"] : isFields(attachment) ? attachment["prompt"] : own;
  return plainContent(content ?? "");
}

/** Each line repeats the tokens of its answer, as they were by then. */
function factsOf(answers: readonly Fields[]): MessageFacts {
  const messages = answers.map(({ message }) => message).filter(isFields);
  const model = messages.map((message) => textOf(message, ["model"])).at(-1);
  return defined({
    at: answers.map((line) => timeIn(line)).find((at) => at !== undefined),
    // Claude Code writes answers of its own, such as notes of an interruption.
    model: model === "<synthetic>" ? undefined : model,
    usage: messages.flatMap(({ usage }) => usageOf(usage) ?? []).at(-1),
  });
}
