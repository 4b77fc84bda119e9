import { SessionError } from "../index.ts";
import { consultOptions, noteTurn, openConversation, type ConversationOptions } from "./conversation.ts";
import { writeJson } from "./output.ts";
import { untilSignalled } from "./signals.ts";

/** `perdure consult`: one question, one answer, one turn. */
export async function consult(
  agent: string,
  question: string,
  options: ConversationOptions & { readonly json?: boolean },
): Promise<void> {
  if (question.trim() === "") throw new SessionError("message_invalid", { path: "question", reason: "is empty" });
  const { sessions, session } = await openConversation(agent, options);
  await using _ = sessions;
  await untilSignalled(async (signal) => {
    const answer = await session.consult(question, consultOptions(agent, options, signal));
    if (options.json === true) {
      const text = await answer.text();
      const turn = await answer.done;
      const { inputTokens = 0, outputTokens = 0, totalTokens = 0 } = turn.usage ?? {};
      const usage = { inputTokens, outputTokens, totalTokens };
      writeJson({ session: session.id, turn: turn.seq, answer: text, usage, durationMs: turn.durationMs });
      return;
    }
    let last = "\n";
    try {
      for await (const text of answer) process.stdout.write((last = text));
    } finally {
      if (!last.endsWith("\n")) process.stdout.write("\n");
    }
    noteTurn(session, await answer.done);
  });
}
