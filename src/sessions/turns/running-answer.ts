/** The answer that a session is giving now, read from the store: any process can follow it, from its beginning. */
import { saidIn } from "../../domain/turns/chunk.ts";
import { Answer } from "../../domain/turns/answer.ts";
import type { Turn } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import { errorOfTurn } from "./turn-error.ts";
import type { EntryRange } from "./entry-reader.ts";
import type { SessionNews, WatchOptions } from "./watch.ts";

/** The members of a session that its running answer is read from. */
export interface FollowedSession {
  readonly id: string;
  turns(range: EntryRange): AsyncIterable<Turn>;
  watch(options: WatchOptions): AsyncIterable<SessionNews>;
  recover(): Promise<boolean>;
}

/** Interval at which a followed answer is recovered, as its writer may be dead. */
const recoverMs = 1000;

/** The number of the open turn; undefined if no answer runs. */
export async function openTurnOf(session: Pick<FollowedSession, "turns">): Promise<number | undefined> {
  const [last] = await Array.fromAsync(session.turns({ last: 1 }));
  return last?.status === "open" ? last.seq : undefined;
}

/** The answer of the open turn; undefined if no answer runs. */
export async function runningAnswer(session: FollowedSession): Promise<Answer | undefined> {
  const seq = await openTurnOf(session);
  if (seq === undefined) return undefined;
  return new Answer(seq, async (emit) => {
    // Recovery seals a turn that a dead writer left open; otherwise the answer would never end.
    const timer = setInterval(() => void session.recover().catch(() => undefined), recoverMs).unref();
    let length = 0;
    try {
      for await (const news of turnNews(session, seq)) {
        const text = news.type === "chunk" ? saidIn(news.chunk) : textOf(news.turn).slice(length);
        length += text.length;
        emit(text);
        if (news.type === "turn") return doneTurn(session, news.turn);
      }
    } finally {
      clearInterval(timer);
    }
    throw new SessionError("interrupted", { sessionId: session.id, turn: seq, how: "session_ended" });
  });
}

/** The chunks of a turn from its beginning, then the sealed turn. */
export async function* turnNews(
  session: Pick<FollowedSession, "id" | "watch">,
  seq: number,
  signal?: AbortSignal,
): AsyncGenerator<Extract<SessionNews, { type: "chunk" | "turn" }>, void, void> {
  for await (const news of session.watch(defined({ after: seq - 1, signal }))) {
    if (news.type === "truncated")
      throw new SessionError("interrupted", { sessionId: session.id, turn: seq, how: "truncated" });
    if (news.type === "chunk") {
      if (news.turn === seq) yield news;
    } else if (news.turn.seq === seq && news.turn.status !== "open") {
      yield news;
      return;
    }
  }
}

function textOf({ output }: Turn): string {
  return output.map((message) => saidIn({ message })).join("");
}

/** @throws SessionError the error that ended the answer */
export function doneTurn({ id: sessionId }: Pick<FollowedSession, "id">, turn: Turn): Turn {
  if (turn.status === "done") return turn;
  throw errorOfTurn(turn, { sessionId, turn: turn.seq });
}
