import { styleText } from "node:util";
import { Option, type Command } from "commander";
import type { FoundText, Sessions, SessionState } from "../../index.ts";
import { sessionStates } from "../../domain/record/states.ts";
import { printable } from "../../domain/values/format-value.ts";
import { defined } from "../../domain/values/defined.ts";
import { labelFilterOf } from "../../domain/values/labels.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, type StoreOptions } from "../program/environment.ts";
import { instant, label, wholeNumber } from "../terminal/arguments.ts";
import { localTime, note, writeJson } from "../terminal/output.ts";
import { Progress } from "../terminal/progress.ts";

interface SearchOptions extends StoreOptions, JsonOption {
  readonly session?: string;
  readonly agent?: string;
  readonly user?: string;
  readonly label?: readonly string[];
  readonly state?: SessionState;
  readonly since?: Date;
  readonly before?: Date;
  readonly limit: number;
  readonly after?: string;
}

/** The longest time that a search builds the index, ms: as long as it takes. */
const waitMsMax = Number.MAX_SAFE_INTEGER;

/** `perdure search`: find messages and titles by their words. */
export function searchCommand(): Command {
  return storeCommand("search", "Find messages and titles by their words, the newest first")
    .argument("<text...>", 'words, "phrases in quotes", and beginnings of words with a star behind them')
    .option("--session <id>", "only in this session, its shared turns included")
    .option("--agent <name>", "only in sessions of this agent")
    .option("--user <id>", "only in sessions of this user")
    .option("--label <name=value>", "only in sessions with this label, or with any value of it: --label team", label)
    .addOption(new Option("--state <state>", "only in sessions in this state").choices(sessionStates))
    .option("--since <instant>", "at or after: 2026-11-20, 2026-11-20T18:00, or 24h for a day ago", instant)
    .option("--before <instant>", "before this instant", instant)
    .option("--limit <n>", "the most messages to find", wholeNumber, 20)
    .option("--after <cursor>", "continue after this cursor; if there are more messages, stderr has the cursor")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure search refund invoice --user ada",
        "perdure search '\"opening hours\"' --since 30d",
        "perdure search 'sess*' --label team=ops --json | jq -r .session",
      ]) + "\nThe first search builds the index of the store.\n",
    )
    .action(search);
}

async function search(words: readonly string[], options: SearchOptions): Promise<void> {
  const { json, label: labels, store, tenant, ...query } = options;
  await using sessions = await openExisting(defined({ store, tenant }));
  const asked = { ...query, text: words.join(" "), ...defined({ labels: labels && labelFilterOf(labels) }) };
  const { items, next } = await searched(sessions, asked);
  if (json === true) for (const found of items) writeJson(found);
  else if (items.length === 0) note("nothing found");
  else for (const found of items) writeFound(found);
  if (next !== undefined) note(`more: --after ${next}`);
}

/** Searches once the index is up to date, and shows its progress meanwhile. */
async function searched(sessions: Sessions, query: Parameters<Sessions["search"]>[0]): ReturnType<Sessions["search"]> {
  using progress = await Progress.begin();
  let total = 0;
  return await sessions.search({
    ...query,
    waitMs: waitMsMax,
    onProgress: ({ left }) => {
      total = Math.max(total, left);
      progress.count("indexing", total - left, total);
    },
  });
}

/** Two lines: the place of the message, and the words around what was found. */
function writeFound({ session, title, turn, role, at, snippet }: FoundText): void {
  const place = [
    session,
    turn === null ? "title" : `turn ${turn}`,
    role,
    localTime(at),
    title && JSON.stringify(title),
  ];
  process.stdout.write(`${printable(place.filter((part) => part !== null).join("  "))}\n`);
  let line = "";
  let end = 0;
  for (const [from, to] of snippet.marks) {
    line += shown(snippet.text.slice(end, from)) + marked(snippet.text.slice(from, to));
    end = to;
  }
  process.stdout.write(`  ${line}${shown(snippet.text.slice(end))}\n`);
}

function marked(text: string): string {
  return styleText(["bold", "yellow"], shown(text), { stream: process.stdout });
}

/** The text as a part of one line. */
function shown(text: string): string {
  return printable(text.replaceAll(/\s+/g, " "));
}
