import type { Command } from "commander";
import { examples, jsonOption, type JsonOption } from "../program/command.ts";
import {
  consultOptions,
  conversationCommand,
  endpointHelp,
  noteTurn,
  resumeConversation,
  sayAnswer,
  type ConversationOptions,
} from "./conversation.ts";
import { defined } from "../../domain/values/defined.ts";
import { wholeNumber } from "../terminal/arguments.ts";
import { writeJson } from "../terminal/output.ts";
import { textOfPipe } from "../terminal/pipe.ts";
import { untilSignalled } from "../terminal/signals.ts";
import { CliError } from "../terminal/cli-error.ts";

/** `perdure consult`: one question, one answer, one turn. */
export function consultCommand(): Command {
  return conversationCommand("consult", "Ask one question in a session; the answer streams to stdout")
    .usage("[options] [agent] <question>")
    .argument("<agent>", "the agent that answers (default: with --session, the one that answers there)")
    .argument("[question]", "the question, in quotes; - reads it from stdin")
    .option("--agent <name>", "hand the session off to this agent, which stays active")
    .option("--after <turn>", "replace the turns after this one, to ask differently or again", wholeNumber)
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure consult ceo 'Shall we buy a second oven?'",
        "perdure consult ceo 'And a third?' --session ceo_01m7xjt6y3j1fvq2vg32v9j0fg",
        "perdure consult ceo 'Shorter, please' --session ceo_01m7… --window 2 --json | jq -r .answer",
        "perdure consult 'And a fourth?' --session ceo_01m7… --agent sales",
        "perdure consult ceo - < question.txt",
        "perdure consult ceo 'Think it over' --effort high --max-tokens 4000 --timeout 10m",
        "perdure consult ceo 'And a fourth?' --session ceo_01m7… --after 1",
        "perdure consult ceo 'Good morning' --session ceo_01m7… --on-expired reset --busy queue",
      ]) + endpointHelp,
    )
    .action(consult);
}

type ConsultCommandOptions = ConversationOptions & JsonOption & { readonly after?: number; readonly agent?: string };

async function consult(first: string, second: string | undefined, options: ConsultCommandOptions): Promise<void> {
  // One argument alone is the question.
  const [named, asked] = second === undefined ? [undefined, first] : [first, second];
  if (named === undefined && options.agent === undefined && options.session === undefined)
    throw new CliError("usage", "name the agent and the question, such as: perdure consult ceo 'Shall we?'");
  await untilSignalled(
    async (signal) => {
      const question = asked === "-" ? await textOfPipe(signal) : asked;
      if (question.trim() === "")
        throw new CliError("usage", "the question is empty; give it in quotes, or - and a text on stdin");
      const { sessions, session, agent } = await resumeConversation(named, options);
      await using _ = sessions;
      const answer = await session.consult(question, {
        ...consultOptions(agent, options, signal),
        ...defined({ after: options.after }),
      });
      if (options.json !== true) {
        noteTurn(session, await sayAnswer(answer));
        return;
      }
      const text = await answer.text();
      const { seq: turn, usage, durationMs, finish } = await answer.done;
      writeJson({ session: session.id, turn, answer: text, usage, durationMs, finish });
    },
    undefined,
    "before anything was asked",
  );
}
