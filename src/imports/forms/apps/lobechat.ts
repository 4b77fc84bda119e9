/** Exports of LobeChat: its messages in one list, which name their topics, in the forms of the browser and of PostgreSQL. */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Message } from "../../../domain/turns/turn.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import type { Conversation, MessageFacts } from "../../../sessions/transfer/conversation.ts";
import { aboutConversation, restOf, says, textOf, timeIn } from "../../conversations/about.ts";
import { inTimeOrder } from "../../conversations/time-order.ts";
import { conversationsOfTree } from "../../conversations/branched.ts";
import type { TreeNode } from "../../conversations/branches.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { LeftOutCounts } from "../../conversations/left-out.ts";
import { partsOfFiles } from "./app-files.ts";
import { messagesOfApp, type AppMessage } from "./app-messages.ts";
import { besideOf } from "../../conversations/kept-beside.ts";
import { fieldsIn, listOf } from "../../conversations/lists.ts";
import { noMessages } from "../../conversations/refusals.ts";

export const lobechat: ConversationFormat = {
  name: "lobechat",
  title: "an export of LobeChat",
  kindOf: (document) => (tablesIn(document) === undefined ? undefined : "conversation"),
  read: ([{ value, place }], options) => {
    const tables = tablesIn(value)!;
    const topics = topicsIn(tables);
    if (topics.length === 0) throw noMessages(place);
    const { branches } = options;
    const threads = topics.filter(({ thread }) => thread !== undefined);
    const shown =
      branches === "fork" ? topics : topics.filter((topic) => !threads.includes(topic) || isAlone(topic, topics));
    return shown.flatMap((topic, index) => {
      const beside = threads.filter((thread) => thread !== topic && thread.topic === topic.topic);
      const nodes = branches === "keep" ? nodesOf(topic, beside, tables) : [];
      const inTree = new Set(nodes.map(({ message }) => message));
      const leftOut = new LeftOutCounts();
      const isLeftOut = ({ messages: [first] }: Topic): boolean => branches !== "fork" && !inTree.has(first!);
      leftOut.add("branch", beside.filter(isLeftOut).length);
      // The other rows belong to no conversation: they are counted once.
      if (index === 0) countUnread(value as Fields, { tables, topics, leftOut });
      if (branches !== "keep") return [conversationOf(topic, { tables, place, leftOut })];
      const read = (ids: readonly string[]): Conversation => {
        const messages = ids.map((id) => nodes[Number(id)]!.message);
        return conversationOf({ ...topic, messages }, { tables, place, leftOut: new LeftOutCounts() });
      };
      const current = `${topic.messages.length - 1}`;
      return conversationsOfTree({ nodes, current, read }, options).map((conversation) => {
        for (const [kind, count] of Object.entries(conversation.leftOut ?? {})) leftOut.add(kind, count);
        return { ...conversation, leftOut: leftOut.all };
      });
    });
  },
};

interface MessageNode extends TreeNode {
  readonly message: Fields;
}

/** The messages of a topic, and of the threads that begin after one of them, as a tree. */
function nodesOf(topic: Topic, threads: readonly Topic[], tables: Tables): readonly MessageNode[] {
  const nodes: MessageNode[] = [];
  const add = (messages: readonly Fields[], after: string | undefined): void => {
    let parent = after;
    for (const message of messages) {
      const id = `${nodes.length}`;
      nodes.push({ id, parent, at: timeIn(message), message });
      parent = id;
    }
  };
  add(topic.messages, undefined);
  for (const { thread = "", messages } of threads) {
    const source = textOf(tables.threads.get(thread) ?? {}, ["sourceMessageId"]) ?? textOf(messages[0]!, ["parentId"]);
    const before = nodes.find(({ message }) => source !== undefined && textOf(message, ["id"]) === source);
    if (before !== undefined) add(messages, before.id);
  }
  return nodes;
}

/** Counts the rows of tables that are not read, the rows that no message names, and the fields around the tables. */
function countUnread(
  { state, data, ...around }: Fields,
  { tables, topics, leftOut }: Pick<Around, "tables" | "leftOut"> & { readonly topics: readonly Topic[] },
): void {
  for (const [table, rows] of tables.unread) leftOut.add(`row of ${table}`, rows);
  const ofMessages = (name: string): Set<string | undefined> =>
    new Set(tables.messages.map((message) => textOf(message, [name])));
  const [sessions, ids] = [new Set(topics.map(({ session = "inbox" }) => session)), ofMessages("id")];
  const agents = new Set([...sessions].map((session) => tables.agentOf.get(session) ?? session));
  const read = { sessions, topics: ofMessages("topicId"), agents, plugins: ids, files: ids } as const;
  const unnamed = (name: keyof typeof read): number =>
    [...tables[name].keys()].filter((id) => !read[name].has(id)).length;
  for (const name of ["sessions", "topics", "agents"] as const) leftOut.add(`row of ${name}`, unnamed(name));
  leftOut.add("row of messagePlugins", unnamed("plugins"));
  leftOut.add("row of messagesFiles", unnamed("files"));
  const used = [...tables.sessions.values(), ...tables.agents.values()].flatMap((row) =>
    useNames.map((name) => row[name]),
  );
  const topicsUsed = [...tables.topics.values()].map((row) => row["accessedAt"]);
  leftOut.add("time of use", [...used, ...topicsUsed].filter((at = null) => says(at)).length);
  const unused = isFields(state) ? data : undefined;
  leftOut.add("field of the file", Object.keys(restOf(defined({ ...around, data: unused }), []) ?? {}).length);
}

/** True for a thread whose topic has no messages in the export. */
function isAlone(thread: Topic, all: readonly Topic[]): boolean {
  return !all.some((other) => other.thread === undefined && other.topic === thread.topic);
}

interface Tables {
  readonly messages: readonly Fields[];
  readonly sessions: ReadonlyMap<string, Fields>;
  readonly topics: ReadonlyMap<string, Fields>;
  readonly agents: ReadonlyMap<string, Fields>;
  readonly threads: ReadonlyMap<string, Fields>;
  /** The agents of sessions, by the ids of the sessions. */
  readonly agentOf: ReadonlyMap<string, string>;
  /** The calls of results, by the ids of their messages. */
  readonly plugins: ReadonlyMap<string, Fields>;
  /** The rows of files, by the ids of their messages. */
  readonly files: ReadonlyMap<string, readonly Fields[]>;
  /** How many rows are not read, by their tables. */
  readonly unread: readonly (readonly [table: string, rows: number])[];
}

/** The tables that conversations are made of. */
const readTables = ["messages", "sessions", "topics", "agents", "agentsToSessions", "messagePlugins", "messagesFiles"];

/** The tables of an export: `state` of the browser, `data` of the database; undefined for a document of another form. */
function tablesIn(document: Value): Tables | undefined {
  if (!isFields(document)) return undefined;
  const { state, data, exportType, schemaHash } = document;
  const tables = isFields(state) ? state : data;
  if (!isFields(tables)) return undefined;
  const hasTopics = Array.isArray(tables["topics"]) && Array.isArray(tables["messages"]);
  if (typeof exportType !== "string" && typeof schemaHash !== "string" && !hasTopics) return undefined;
  const rows = (name: string): readonly Fields[] => fieldsIn(tables[name]);
  const byId = (name: string): ReadonlyMap<string, Fields> =>
    new Map(rows(name).map((row) => [textOf(row, ["id"]) ?? "", row]));
  return {
    messages: rows("messages"),
    sessions: byId("sessions"),
    topics: byId("topics"),
    agents: byId("agents"),
    threads: byId("threads"),
    agentOf: new Map(
      rows("agentsToSessions").map((row) => [textOf(row, ["sessionId"]) ?? "", textOf(row, ["agentId"]) ?? ""]),
    ),
    plugins: byId("messagePlugins"),
    files: Map.groupBy(rows("messagesFiles"), (row) => textOf(row, ["messageId"]) ?? ""),
    unread: Object.entries(tables).map(([name, table]) => {
      const list = listOf(table);
      const unread = readTables.includes(name) ? list.filter((row) => !isFields(row) && says(row)) : list;
      return [name, unread.length] as const;
    }),
  };
}

/** Messages of one topic, of a session outside of its topics, or of a thread beside a topic. */
interface Topic {
  readonly topic: string | undefined;
  readonly thread: string | undefined;
  readonly session: string | undefined;
  readonly messages: readonly Fields[];
}

/** The topics in the order of their first messages. The messages of an export are in no order. */
function topicsIn({ messages, topics }: Tables): readonly Topic[] {
  const ordered = inTimeOrder(messages, timeIn);
  const groups = Map.groupBy(ordered, (message) =>
    ["threadId", "topicId", "sessionId"].map((name) => textOf(message, [name])).find((id) => id !== undefined),
  );
  return [...groups.values()].map((all): Topic => {
    const [first] = all as [Fields, ...Fields[]];
    const topic = textOf(first, ["topicId"]);
    const session = textOf(first, ["sessionId"]) ?? textOf(topics.get(topic ?? "") ?? {}, ["sessionId"]);
    return { topic, thread: textOf(first, ["threadId"]), session, messages: all };
  });
}

interface Around {
  readonly tables: Tables;
  readonly place: string;
  /** What is not imported: threads beside the topic, and other tables. */
  readonly leftOut: LeftOutCounts;
}

/** @throws SessionError `message_invalid` for one without messages */
function conversationOf({ topic, thread, session = "inbox", messages }: Topic, around: Around): Conversation {
  const { tables, place, leftOut } = around;
  const row = tables.sessions.get(session) ?? {};
  const { config, meta } = row;
  const agent = tables.agents.get(tables.agentOf.get(session) ?? session) ?? {};
  const instructions = (isFields(config) ? textOf(config, ["systemRole"]) : undefined) ?? textOf(agent, ["systemRole"]);
  const assistant =
    (isFields(meta) ? textOf(meta, ["title"]) : undefined) ?? textOf(row, ["title"]) ?? textOf(agent, ["title"]);
  const own = topic === undefined ? { ...row, title: assistant ?? "" } : (tables.topics.get(topic) ?? {});
  const about = aboutConversation(own, ["accessedAt", ...(topic === undefined ? ["updatedAt", "config", "meta"] : [])]);
  const description = [isFields(meta) ? meta["description"] : null, agent["description"]].find((one = null) =>
    says(one),
  );
  const tags = [isFields(meta) ? meta["tags"] : null, agent["tags"]].find((one = null) => says(one));
  const stored = Object.values(defined({ instructions, assistant, description, tags }));
  const settings = (fields: Value | undefined): Value | undefined =>
    isFields(fields) ? settingsOf(fields, stored, leftOut) : fields;
  const { config: _, meta: __, ...fields } = row;
  const calls = new Set(messages.flatMap((message) => toolsIn(message).map((tool) => textOf(tool, ["id"]))));
  const id = thread ?? topic ?? session;
  return {
    ...about,
    id,
    metadata: defined({
      description,
      tags,
      ...about.metadata,
      config: settings(config),
      look: settings(meta),
      session: topic === undefined ? undefined : settings(fields),
      agentSettings: settings(agent),
      assistant,
      branchOf: thread === undefined ? undefined : topic,
      source: "lobechat",
    }),
    ...messagesOfApp(
      messages.map((message) => appMessage(message, { tables, calls, leftOut })),
      { format: "lobechat", place: `${place} ${id}`, instructions: instructions ?? "", leftOut },
    ),
  };
}

/** Longer avatars are pictures. Metadata have a limit. */
const avatarLengthMax = 1000;

/** The fields of a session or an agent that are in no other place. The times of its last use change with other conversations. */
function settingsOf(fields: Fields, stored: readonly Value[], leftOut: LeftOutCounts): Fields | undefined {
  const { avatar } = fields;
  const isLong = typeof avatar === "string" && avatar.length > avatarLengthMax;
  leftOut.add("avatar", isLong ? 1 : 0);
  return besideOf(fields, stored, {
    placed: [...useNames, ...(isLong ? ["avatar"] : [])],
    words: ["systemRole", "title", "description", "tags"],
  });
}

const useNames = ["accessedAt", "updatedAt"];

interface Reading {
  readonly tables: Tables;
  /** The ids of the calls of the conversation. */
  readonly calls: ReadonlySet<string | undefined>;
  readonly leftOut: LeftOutCounts;
}

function appMessage(message: Fields, { tables, calls, leftOut }: Reading): AppMessage {
  const { role, content, error, extra, metadata } = message;
  const id = textOf(message, ["id"]) ?? "";
  const more = isFields(extra) ? extra : {};
  const counts = isFields(metadata) ? metadata : {};
  const plugin = isFields(message["plugin"]) ? message["plugin"] : tables.plugins.get(id);
  const files = tables.files.get(id);
  const source = defined({ ...message, messagePlugin: tables.plugins.get(id), messagesFiles: files });
  const facts = defined({
    at: timeIn(message),
    model: textOf(message, ["model", "fromModel"]) ?? textOf(more, ["fromModel"]),
    usage: usageIn(counts),
  });
  const whole = (one: Message): AppMessage => ({
    message: one,
    facts: one.role === "user" ? defined({ at: facts.at }) : facts,
    sources: [source],
    names: {
      placed: ["role"],
      words: ["content", "tools", "plugin", "messagePlugin", "imageList", "fileList", "files", "messagesFiles"],
    },
    isNotice: says(error ?? null),
  });
  const text = typeof content === "string" ? content : "";
  if (role === "tool" || role === "function") {
    const callId = textOf(message, ["tool_call_id"]) ?? (plugin && textOf(plugin, ["toolCallId"]));
    const isError = says(message["pluginError"] ?? plugin?.["error"] ?? null);
    if (callId !== undefined && calls.has(callId))
      return whole({ role: "tool", tool_call_id: callId, content: text, ...(isError ? { is_error: true } : {}) });
    // Older versions have a call in the message of its result alone.
    if (plugin === undefined) return { ...whole({ role: "assistant", content: [] }), isNotice: true };
    const called = callId ?? `call_${id}`;
    return whole({
      role: "assistant",
      content: [
        { type: "tool_use", id: called, name: nameOf(plugin), input: plugin["arguments"] ?? {} },
        { type: "tool_result", tool_use_id: called, content: text, is_error: isError },
      ],
    });
  }
  const tools = toolsIn(message).map((tool): Value => ({
    type: "tool_use",
    id: textOf(tool, ["id"]) ?? "",
    name: nameOf(tool),
    input: tool["arguments"] ?? {},
  }));
  // Three dots stand in place of an answer that has not come.
  const words = text === "..." && error !== undefined && error !== null ? "" : text;
  const pictures = listOf(message["imageList"]).map((file): Value => ({
    ...(isFields(file) ? file : {}),
    type: "image",
  }));
  const named = [...pictures, ...listOf(message["fileList"])];
  const attached = named.length > 0 ? named : [...listOf(message["files"]), ...fileIds(files)];
  return whole({
    role: role === "assistant" || role === "system" ? role : "user",
    content: [...partsOfFiles(attached, leftOut), ...(words === "" ? [] : [words]), ...tools],
  });
}

function nameOf(plugin: Fields): string {
  return textOf(plugin, ["apiName", "identifier"]) ?? "tool";
}

function toolsIn({ tools }: Fields): readonly Fields[] {
  return listOf(tools).filter(isFields);
}

function fileIds(rows: readonly Fields[] = []): readonly Value[] {
  return rows.flatMap((row) => textOf(row, ["fileId"]) ?? []);
}

function usageIn({ totalInputTokens: inputTokens, totalOutputTokens: outputTokens }: Fields): MessageFacts["usage"] {
  if (typeof inputTokens !== "number" || typeof outputTokens !== "number") return undefined;
  return { inputTokens, outputTokens };
}
