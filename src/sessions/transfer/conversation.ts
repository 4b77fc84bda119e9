import type { Value } from "../../domain/values/codec.ts";
import type { Entry } from "../../domain/record/entry.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import { exchangesOf, instructionsOf } from "../../domain/turns/exchange.ts";
import { countAll } from "../../domain/turns/counters.ts";
import { portableOf, type Portable } from "../../domain/copies/snapshot.ts";
import { entryOfTurn, parseMessages, type Message, type Turn } from "../../domain/turns/turn.ts";
import { createSession } from "../../domain/record/lifecycle.ts";
import { guardTurnParts } from "../../domain/turns/turns.ts";
import { durationMaxMs } from "../../domain/values/limits.ts";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { newSession } from "../session/opening.ts";

/** A conversation of another program. */
export interface Conversation {
  readonly id: string;
  readonly messages: readonly Message[];
  readonly agent?: string;
  readonly user?: string;
  readonly metadata?: { readonly [key: string]: Value | undefined };
  /** When it began, epoch ms. @default the time of its first message, else now */
  readonly createdAt?: number;
  /** The times of its messages, as far as they are known, epoch ms. */
  readonly times?: ReadonlyMap<Message, number>;
  /** How many parts of its messages are kept beside their content, for the report. @default 0 */
  readonly aside?: number;
}

/**
 * A conversation as a new session: the system messages before all others are its instructions, and each question with its answer
 * is a turn.
 * @throws SessionError `message_invalid`, `value_unstorable`, `turn_too_large`, `turn_parts_exceeded`, `metadata_too_large`, `id_invalid`
 */
export function portableConversation(core: Core, conversation: Conversation, agentElse: string | undefined): Portable {
  const { id, messages, user, metadata, times } = conversation;
  const agent = conversation.agent ?? agentElse;
  const { leading, exchanges } = exchangesOf(parseMessages(messages, "user", "messages"));
  const instructions = instructionsOf(leading);
  const session = newSession(
    core,
    { tenant: "default", id },
    defined({ agent, user: user === undefined ? undefined : parseNewId(user, "user"), metadata, instructions }),
  );
  const context = core.context();
  const { record, splices } = createSession(session, context);
  if (record === null) throw new Error("creating a session makes a record");
  const timesOf = (messages: readonly Message[]): number[] => messages.flatMap((one) => times?.get(one) ?? []);
  const turns = exchanges.map(({ input, output }, index): Turn => ({
    seq: index + 1,
    key: null,
    at: new Date(Math.min(...timesOf([...input, ...output]), context.now)),
    status: "done",
    agent: session.agent,
    input,
    output,
    // The messages do not say whether a model wrote them.
    requests: 0,
  }));
  for (const turn of turns) guardTurnParts(record, turn, context);
  const logs = new Map<string, readonly Entry[]>(splices.map(({ log, entries }) => [log, entries]));
  let messagesBefore = 0;
  const entries = turns.map((turn) => {
    const entry = entryOfTurn(turn, messagesBefore);
    messagesBefore += turn.input.length + turn.output.length;
    return entry;
  });
  logs.set("turns", entries);
  const { turnBytesMax } = context.limits;
  for (const { data } of logs.get("turns") ?? []) {
    const bytes = Buffer.byteLength(data);
    if (bytes > turnBytesMax)
      throw new SessionError("turn_too_large", { sessionId: id, bytes, bytesMax: turnBytesMax });
  }
  const createdAt = Math.min(conversation.createdAt ?? context.now, turns[0]?.at.getTime() ?? context.now);
  // A time to live begins with the import, or old conversations would have expired by then.
  const isDated = times !== undefined && times.size > 0 && record.ttlMs === durationMaxMs;
  const latest = isDated ? [...times.values()].reduce((last, at) => Math.max(last, at), createdAt) : context.now;
  const dated = { ...record, createdAt, lastActivityAt: Math.min(latest, context.now) };
  return { record: { ...portableOf(dated), counters: countAll(turns) }, logs };
}
