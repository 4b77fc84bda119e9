/**
 * One operating-system process of the demo: plays some exchanges of a recorded conversation into a session and says on
 * stdout, a JSON object a line, what was acknowledged. The demo checks that the store loses none of it.
 */
import { defined } from "../src/domain/values/defined.ts";
import { openaiModel } from "../src/adapters/openai.ts";
import { readConversations, replayModel, type Conversation } from "../src/adapters/replay.ts";
import { hasCode, openSessions, type Message, type Model, type Session, type Sessions } from "../src/index.ts";

export interface Part {
  readonly store: string;
  /** The file and id of the conversation. */
  readonly file: string;
  readonly conversation: string;
  readonly session: string;
  /** The exchanges to play, from one index up to another. */
  readonly from: number;
  readonly to: number;
  /** The pause before each piece of an answer, ms. */
  readonly delayMs?: number;
  /** The characters of a piece. */
  readonly pieceLength?: number;
  /** A session that several players append to at once, and how often. */
  readonly shared?: { readonly session: string; readonly times: number; readonly name: string };
}

export type Said =
  /** The question is durable; no model was called yet. */
  | { readonly kind: "asked"; readonly seq: number; readonly input: readonly Message[]; readonly sinceStartMs: number }
  | { readonly kind: "text"; readonly seq: number; readonly text: string }
  | { readonly kind: "sealed"; readonly seq: number; readonly output: readonly Message[]; readonly totalTokens: number }
  | { readonly kind: "shared"; readonly seq: number; readonly mark: string };

function say(said: Said): void {
  process.stdout.write(`${JSON.stringify(said)}\n`);
}

async function play(part: Part): Promise<void> {
  const conversation = (await readConversations(part.file)).find(({ id }) => id === part.conversation);
  if (conversation === undefined) throw new Error(`no conversation ${part.conversation}`);
  await using sessions = await openSessions({ store: part.store, model: modelFor(conversation, part), sweep: false });
  const session = await sessions.ensure(part.session, {
    agent: "assistant",
    ...defined({ instructions: conversation.instructions }),
  });
  for (const { input } of conversation.exchanges.slice(part.from, part.to)) await ask(session, input);
  if (part.shared !== undefined) await appendShared(sessions, part.shared);
}

function modelFor(conversation: Conversation, { delayMs = 0, pieceLength = 24 }: Part): Model {
  const { OPENAI_BASE_URL, PERDURE_MODEL } = process.env;
  if (!OPENAI_BASE_URL) return replayModel({ conversation, delayMs, pieceLength });
  return openaiModel(defined({ model: PERDURE_MODEL }));
}

async function ask(session: Session, input: readonly Message[]): Promise<void> {
  const answer = await session.consult(input, { window: 1000 });
  const { seq } = answer;
  say({ kind: "asked", seq, input, sinceStartMs: Math.round(performance.now()) });
  for await (const text of answer) say({ kind: "text", seq, text });
  const { output, usage } = await answer.done;
  say({ kind: "sealed", seq, output, totalTokens: usage?.totalTokens ?? 0 });
}

/** Append to a session that other players append to as well: on a conflict, refresh and retry. */
async function appendShared(
  sessions: Sessions,
  { session: id, times, name }: NonNullable<Part["shared"]>,
): Promise<void> {
  const session = await sessions.ensure(id);
  for (let index = 0; index < times;) {
    const mark = `${name} ${index + 1}`;
    try {
      const { seq } = await session.append({ input: mark });
      say({ kind: "shared", seq, mark });
      index++;
    } catch (error) {
      if (!hasCode(error, "conflict")) throw error;
      await session.refresh();
    }
  }
}

await play(JSON.parse(process.argv[2] ?? "") as Part);
