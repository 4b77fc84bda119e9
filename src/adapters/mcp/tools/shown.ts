/** Sessions and turns as tools and resources show them: fewer fields than over HTTP, since a model reads them. */
import { z } from "zod";
import { defined } from "../../../domain/values/defined.ts";
import { withoutNative } from "../../../domain/request/native-form.ts";
import type { Message, Session, SessionInfo, Turn, UnreadableEntry } from "../../../index.ts";
import { toJson } from "../../../protocol/json.ts";
import { wireEtag, wireTurn } from "../../../protocol/wire.ts";

/** A value of JSON. */
export type Plain = { readonly [field: string]: unknown };

/** A session, as a schema describes it. */
export const sessionShape: z.ZodType = z.object({
  id: z.string(),
  state: z.enum(["active", "inactive", "expired", "ended", "archived"]),
  agent: z.string().describe("the agent of the session"),
  activeAgent: z.string().nullable().describe("the agent that a handoff made active"),
  user: z.string().nullable(),
  title: z.string().nullable(),
  labels: z.record(z.string(), z.string()),
  turns: z.number().describe("the number of the last turn"),
  createdAt: z.string(),
  lastActivityAt: z.string(),
  expiresAt: z.string().nullable().describe("null: the session does not expire"),
  waiting: z
    .object({ turn: z.number(), reason: z.string() })
    .nullable()
    .describe("the turn that waits to be resumed, such as for an approval"),
  parent: z.object({ id: z.string(), turn: z.number() }).nullable().describe("the session that it was forked from"),
  seen: z.string().describe("pass it as ifSeen to append only where no other turn was written since"),
});

/** A turn, as a schema describes it. */
export const turnShape: z.ZodType = z.object({
  seq: z.number().describe("the number of the turn"),
  key: z.string().nullable(),
  at: z.string(),
  status: z.enum(["open", "waiting", "done", "failed", "interrupted"]),
  agent: z.string(),
  model: z.string().optional(),
  input: z.array(z.looseObject({ role: z.string() })),
  output: z.array(z.looseObject({ role: z.string() })),
  usage: z.looseObject({}).optional(),
  requests: z.number(),
  durationMs: z.number().optional(),
  waitedMs: z.number().optional(),
  steps: z.array(z.looseObject({})).optional(),
  finish: z.string().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});

/** A page of turns, as a schema describes it. */
export const turnsShape: { readonly [field: string]: z.ZodType } = {
  turns: z.array(turnShape),
  next: z.number().optional().describe("pass it as from for the turns that follow"),
  before: z.number().optional().describe("pass it as before for the turns before these"),
  unreadable: z.array(z.object({ seq: z.number(), reason: z.string() })).optional(),
};

export function sessionForm(info: SessionInfo): Plain {
  const { id, state, agent, activeAgent, user, title, labels, turn, waitingTurn, parent } = info;
  return {
    id,
    state,
    agent,
    activeAgent: activeAgent?.agent ?? null,
    user,
    title,
    labels,
    turns: turn,
    createdAt: info.createdAt.toISOString(),
    lastActivityAt: info.lastActivityAt.toISOString(),
    expiresAt: info.expiresAt?.toISOString() ?? null,
    waiting: waitingTurn && { turn: waitingTurn.turn, reason: waitingTurn.reason },
    parent,
    // Without the quotes of the header.
    seen: wireEtag(info).slice(1, -1),
  };
}

/** A turn without the native forms of its messages. Values that JSON lacks are tagged, as over HTTP. */
export function turnForm(turn: Turn): Plain {
  const shown = { ...turn, input: turn.input.map(withoutNative), output: turn.output.map(withoutNative) };
  return plain(wireTurn(shown));
}

/** The value as JSON gives it to a reader; values that JSON lacks are tagged. */
export function plain(value: object): Plain {
  return JSON.parse(toJson(value)) as Plain;
}

/** The text of the messages of the assistant. */
export function textOf(messages: readonly Message[]): string {
  return messages.flatMap(({ role, content }) => (role === "assistant" ? textsIn(content) : [])).join("");
}

function textsIn(content: Message["content"]): readonly string[] {
  if (typeof content === "string") return [content];
  if (!Array.isArray(content)) return [];
  return content.flatMap((part) => {
    const { text } = Object(part) as { readonly text?: unknown };
    return typeof text === "string" ? [text] : [];
  });
}

/** The turns of a page: the last ones, also before a number, or those from a number on. */
export interface TurnsRange {
  readonly last?: number | undefined;
  readonly before?: number | undefined;
  readonly from?: number | undefined;
}

/** The turns of a page end behind this many bytes; a larger turn is a page of its own. */
const pageBytesMax = 128 * 1024;
const pageTurnsMax = 100;
const lastByDefault = 10;

/** A page of turns, oldest first. @throws SessionError as `session.turns` */
export async function turnsPage(session: Session, { last, before, from }: TurnsRange): Promise<Plain> {
  const turns: Plain[] = [];
  const unreadable: UnreadableEntry[] = [];
  const range = from === undefined ? { last: Math.min(last ?? lastByDefault, pageTurnsMax) } : { from };
  let next: number | undefined;
  let first: number | undefined;
  let bytes = 0;
  const isFull = (): boolean => turns.length + unreadable.length >= pageTurnsMax;
  const onUnreadable = (entry: UnreadableEntry): void => {
    first ??= entry.seq;
    if (isFull()) next ??= entry.seq;
    else unreadable.push(entry);
  };
  for await (const turn of session.turns({ ...range, ...defined({ before }), onUnreadable })) {
    const form = turnForm(turn);
    bytes += Buffer.byteLength(JSON.stringify(form));
    if (isFull() || (turns.length > 0 && bytes > pageBytesMax)) {
      next ??= turn.seq;
      break;
    }
    first ??= turn.seq;
    turns.push(form);
  }
  return {
    turns,
    ...defined({
      next,
      before: from === undefined && first !== undefined && first > 1 ? first : undefined,
      unreadable: unreadable.length === 0 ? undefined : unreadable.map(({ seq, reason }) => ({ seq, reason })),
    }),
  };
}
