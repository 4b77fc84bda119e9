import { Option, type Command } from "commander";
import type { ListQuery, SessionInfo, SessionState } from "../../index.ts";
import { sessionStates } from "../../domain/record/states.ts";
import { instant, wholeNumber } from "../terminal/arguments.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openToRead, type StoreOptions } from "../program/environment.ts";
import { localTime, note, writeJson, writeTable } from "../terminal/output.ts";
import { printable } from "../../domain/values/format-value.ts";
import { defined } from "../../domain/values/defined.ts";

interface ListOptions extends StoreOptions, JsonOption {
  readonly agent?: string;
  readonly user?: string;
  readonly state?: SessionState;
  readonly since?: Date;
  readonly before?: Date;
  readonly limit: number;
  readonly after?: string;
}

export function listCommand(): Command {
  return storeCommand("list", "List sessions, the most recently active first")
    .option("--agent <name>", "only sessions of this agent")
    .option("--user <id>", "only sessions of this user")
    .addOption(new Option("--state <state>", "only sessions in this state").choices(sessionStates))
    .option("--since <instant>", "active at or after: 2026-11-20, 2026-11-20T18:00, or 24h for a day ago", instant)
    .option("--before <instant>", "active before this instant", instant)
    .option("--limit <n>", "the most sessions to list", wholeNumber, 50)
    .option("--after <cursor>", "continue after this cursor; if there are more sessions, stderr has the cursor")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure sessions list --agent ceo --since 2026-11-01",
        "perdure sessions list --state expired --before 30d --limit 1000 --json | jq -r .id",
      ]),
    )
    .action(list);
}

async function list({ json, since, before, store, tenant, ...filter }: ListOptions): Promise<void> {
  await using sessions = await openToRead(defined({ store, tenant }));
  const query: ListQuery = {
    ...filter,
    ...defined({ activeSince: since, activeBefore: before }),
  };
  const page = await sessions.list(query);
  if (json === true) for (const info of page.items) writeJson(info);
  else if (page.items.length === 0) note("no sessions");
  else writeSessions(page.items);
  for (const { id, reason } of page.unreadable ?? []) note(`session ${printable(id)} is not listed: ${reason}`);
  if (page.next !== undefined) note(`more: --after ${page.next}`);
}

function writeSessions(infos: readonly SessionInfo[]): void {
  writeTable(
    ["SESSION", "AGENT", "USER", "STATE", "TURNS", "TOKENS", "LAST ACTIVE", "EXPIRES"],
    infos.map((info) => [
      info.id,
      info.agent,
      info.user ?? "",
      info.state,
      String(info.counters.turns),
      String(info.counters.totalTokens),
      localTime(info.lastActivityAt),
      localTime(info.expiresAt),
    ]),
  );
}
