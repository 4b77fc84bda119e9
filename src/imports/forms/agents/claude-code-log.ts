/**
 * The lines of a log of Claude Code as conversations. Each line names the line before it, so the lines are a tree. A message may
 * be several lines: those of one answer have the id of its message, and calls that run at the same time are a branch each.
 */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { textOf } from "../../conversations/about.ts";
import { LeftOutCounts } from "../../conversations/left-out.ts";

/** An answer with the results of its calls, or a line of the user. */
export interface Step {
  readonly id: string;
  /** The step before it. */
  readonly parent: Step | undefined;
  readonly lines: [Fields, ...Fields[]];
}

/** The lines of one session, or of one sub-agent of a session. */
export interface Thread {
  readonly session: string | undefined;
  /** The sub-agent; undefined for the session itself. */
  readonly agent: string | undefined;
  readonly first: Fields;
  /** In the order of the file. */
  readonly steps: Step[];
  /** The steps of answers, by the ids of their messages and of their calls. */
  readonly answers: Map<string, Step>;
  /** The lines that hold no message of the conversation. */
  readonly leftOut: LeftOutCounts;
}

/** The lines with a title of their session: its field, and its rank among them. */
const titleTypes: ReadonlyMap<unknown, readonly [field: string, rank: number]> = new Map([
  ["ai-title", ["aiTitle", 1]],
  ["summary", ["summary", 2]],
  ["custom-title", ["customTitle", 3]],
] as const);

/** The blocks of a message. */
export function blocksOf({ message }: Fields): readonly Value[] {
  const content = isFields(message) ? message["content"] : undefined;
  if (Array.isArray(content)) return content as readonly Value[];
  return content === undefined || content === null ? [] : [{ type: "text", text: content }];
}

/** The session of a line: `session_id` in the output of `--output-format stream-json`. */
export function sessionOf(line: Fields): string | undefined {
  return textOf(line, ["sessionId", "session_id"]);
}

/** Reads the lines of a file one after the other. */
export class ClaudeLog {
  readonly #threads = new Map<string, Thread>();
  /** The step of each line: its own, or the one before a line that holds no message. */
  readonly #steps = new Map<string, Step | undefined>();
  /** The sub-agent of each of its lines. */
  readonly #agents = new Map<string, string>();
  readonly #titles = new Map<string, { readonly rank: number; readonly title: string; readonly all: Set<string> }>();
  /** Titles of sessions that are not in the file. */
  #foreignTitles = 0;
  readonly #isLinked: boolean;
  /** The words of the user that have a line of their own in the tree. */
  readonly #queued: ReadonlySet<unknown>;

  constructor(lines: readonly Fields[]) {
    this.#queued = new Set(lines.filter(isQueued).map(({ attachment }) => (attachment as Fields)["prompt"]));
    this.#isLinked = lines.some((line) => typeof line["parentUuid"] === "string");
    // Lines without a session, such as copies of files, may be the first ones.
    let session = lines.map(sessionOf).find((one) => one !== undefined);
    for (const line of lines) {
      session = sessionOf(line) ?? session;
      if (!titleTypes.has(line["type"])) this.#add(line, session);
    }
    // Summaries may precede the lines that they name.
    for (const line of lines) if (titleTypes.has(line["type"])) this.#addTitle(line);
  }

  /** Those of sessions precede those of sub-agents. A session that another one of the file continues is left to that one. */
  get threads(): readonly Thread[] {
    const filled = [...this.#threads.values()].filter(({ steps }) => steps.length > 0);
    const isContinued = ({ steps, agent }: Thread): boolean =>
      agent === undefined &&
      filled.some(({ steps: others }) => others !== steps && stepsTo(others.at(-1)).includes(steps.at(-1)!));
    const sessions = filled.filter((thread) => thread.agent === undefined && !isContinued(thread));
    return [...sessions, ...filled.filter(({ agent }) => agent !== undefined)];
  }

  /** The title that the user gave a session, else the last summary of it, else the title that a model gave it. */
  titleOf({ session = "" }: Thread): string | undefined {
    return this.#titles.get(session)?.title;
  }

  /** How many titles are not used: others of the session, and with the first one those of sessions that are elsewhere. */
  otherTitlesOf(thread: Thread): number {
    const own = this.#titles.get(thread.session ?? "");
    const others = own === undefined || thread.agent !== undefined ? 0 : own.all.size - 1;
    return others + (thread === this.threads[0] ? this.#foreignTitles : 0);
  }

  #add(line: Fields, session: string | undefined): void {
    const uuid = textOf(line, ["uuid"]);
    // The log of a session that was resumed may repeat lines.
    if (uuid !== undefined && this.#steps.has(uuid)) return;
    const thread = this.#threadOf(line, { uuid, session });
    const last = thread.steps.at(-1);
    if (last !== undefined && this.#isSteering(line)) {
      last.lines.push(line);
      return;
    }
    const parent = this.#parentOf(line, thread);
    const kind = kindOf(line, parent);
    if (kind === undefined) thread.leftOut.addLine(line);
    else if (kind !== "message") thread.leftOut.add(kind);
    const step = kind === "message" ? this.#stepOf(line, { thread, parent, uuid }) : parent;
    if (uuid !== undefined) this.#steps.set(uuid, step);
  }

  /** True for words of the user that the model took from the queue while it answered: some versions write no other line. */
  #isSteering({ type, operation, content }: Fields): boolean {
    const isTaken = type === "queue-operation" && operation === "remove" && typeof content === "string";
    return isTaken && content.trim() !== "" && !content.startsWith("<task-notification>") && !this.#queued.has(content);
  }

  #addTitle(line: Fields): void {
    const { leafUuid, type } = line;
    const [name, rank] = titleTypes.get(type)!;
    const title = textOf(line, [name]);
    // A summary names a line of its session, which may be in another file.
    const leaf = typeof leafUuid === "string" ? this.#steps.get(leafUuid) : undefined;
    const session = sessionOf(line) ?? (leaf && (sessionOf(leaf.lines[0]) ?? ""));
    if (title === undefined) return;
    if (session === undefined) {
      this.#foreignTitles++;
      return;
    }
    const known = this.#titles.get(session) ?? { rank: 0, title, all: new Set() };
    known.all.add(title);
    this.#titles.set(session, rank < known.rank ? known : { rank, title, all: known.all });
  }

  #threadOf(
    line: Fields,
    { uuid, session }: { readonly uuid: string | undefined; readonly session: string | undefined },
  ): Thread {
    const agent = this.#agentOf(line);
    if (agent !== undefined && uuid !== undefined) this.#agents.set(uuid, agent);
    const key = JSON.stringify([session ?? null, agent ?? null]);
    const known = this.#threads.get(key);
    if (known !== undefined) return known;
    const made = { session, agent, first: line, steps: [], answers: new Map(), leftOut: new LeftOutCounts() };
    this.#threads.set(key, made);
    return made;
  }

  /** Without a name a sub-agent is known by its first line; those of a stream by the call that started them. */
  #agentOf(line: Fields): string | undefined {
    const call = textOf(line, ["parent_tool_use_id"]);
    if (line["isSidechain"] !== true) return call;
    const parent = textOf(line, ["parentUuid"]);
    const known = parent === undefined ? undefined : this.#agents.get(parent);
    return textOf(line, ["agentId"]) ?? known ?? textOf(line, ["uuid"]) ?? "1";
  }

  #parentOf(line: Fields, thread: Thread): Step | undefined {
    const parent = textOf(line, ["logicalParentUuid", "parentUuid"]);
    // The first line of a sub-agent names the line of the session that started it.
    const isOwn = parent !== undefined && this.#agents.get(parent) === thread.agent;
    if (isOwn && this.#steps.has(parent)) return this.#steps.get(parent);
    // A line is missing, or the lines name none: the order of the file is all that is known.
    const isFirst = parent === undefined && this.#isLinked && line["isCompactSummary"] !== true;
    return isFirst ? undefined : thread.steps.at(-1);
  }

  #stepOf(
    line: Fields,
    {
      thread,
      parent,
      uuid,
    }: { readonly thread: Thread; readonly parent: Step | undefined; readonly uuid: string | undefined },
  ): Step {
    const message = isFields(line["message"]) ? line["message"] : {};
    const isAnswer = line["type"] === "assistant";
    const blocks = blocksOf(line).filter(isFields);
    const ids = isAnswer
      ? [textOf(message, ["id"])]
      : blocks.flatMap(({ type, tool_use_id: id }) => (type === "tool_result" && typeof id === "string" ? [id] : []));
    const known = ids.flatMap((id) => (id === undefined ? [] : (thread.answers.get(id) ?? []))).at(0);
    const step = known ?? { id: uuid ?? `line-${this.#steps.size}-${thread.steps.length}`, parent, lines: [line] };
    if (known === undefined) thread.steps.push(step);
    else known.lines.push(line);
    const calls = blocks.flatMap(({ type, id }) => (type === "tool_use" && typeof id === "string" ? [id] : []));
    for (const id of isAnswer ? [...ids, ...calls] : []) if (id !== undefined) thread.answers.set(id, step);
    return step;
  }
}

/** The steps from the beginning to this one. */
function stepsTo(last: Step | undefined): readonly Step[] {
  const path: Step[] = [];
  for (let step = last; step !== undefined; step = step.parent) path.push(step);
  return path.toReversed();
}

/** What a line holds. A summary of a compaction repeats the lines before it, where the file has them. */
function kindOf(line: Fields, parent: Step | undefined): string | undefined {
  const { type, message, isMeta, isCompactSummary, isApiErrorMessage } = line;
  if (type === "attachment") return isQueued(line) ? "message" : "attachment";
  if ((type !== "user" && type !== "assistant") || !isFields(message)) return undefined;
  if (isMeta === true) return "hidden message";
  if (isApiErrorMessage === true) return "error";
  return isCompactSummary === true && parent !== undefined ? "compaction summary" : "message";
}

/** True for words that the user wrote while the model answered. */
function isQueued({ attachment }: Fields): boolean {
  if (!isFields(attachment) || attachment["type"] !== "queued_command") return false;
  const { prompt, commandMode = "prompt" } = attachment;
  return commandMode === "prompt" && (typeof prompt === "string" || Array.isArray(prompt));
}
