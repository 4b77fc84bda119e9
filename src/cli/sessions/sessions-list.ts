import { Option, type Command } from "commander";
import {
  hasCode,
  type LeaseHolder,
  type ListQuery,
  type SessionInfo,
  type Sessions,
  type SessionState,
} from "../../index.ts";
import { CliError } from "../terminal/cli-error.ts";
import { sessionStates } from "../../domain/record/states.ts";
import { labelFilterOf } from "../../domain/values/labels.ts";
import { instant, label, wholeNumber } from "../terminal/arguments.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openToRead, type StoreOptions } from "../program/environment.ts";
import { localTime, note, span, writeJson, writeTable } from "../terminal/output.ts";
import { printable } from "../../domain/values/format-value.ts";
import { defined } from "../../domain/values/defined.ts";

interface ListOptions extends StoreOptions, JsonOption {
  readonly agent?: string;
  readonly user?: string;
  readonly label?: readonly string[];
  readonly waiting?: string | true;
  readonly state?: SessionState;
  readonly since?: Date;
  readonly before?: Date;
  readonly createdSince?: Date;
  readonly createdBefore?: Date;
  readonly limit: number;
  readonly after?: string;
  readonly sort: "recent" | "created" | "tokens";
  readonly held?: true;
}

export function listCommand(): Command {
  return storeCommand("list", "List sessions, the most recently active first")
    .option("--agent <name>", "only sessions of this agent")
    .option("--user <id>", "only sessions of this user")
    .option("--label <name=value>", "only sessions with this label, or with any value of it: --label team", label)
    .option("--waiting [reason]", "only sessions with a turn that waits to be resumed, for any reason or this one")
    .addOption(new Option("--state <state>", "only sessions in this state").choices(sessionStates))
    .option("--since <instant>", "active at or after: 2026-11-20, 2026-11-20T18:00, or 24h for a day ago", instant)
    .option("--before <instant>", "active before this instant", instant)
    .option("--created-since <instant>", "created at or after this instant", instant)
    .option("--created-before <instant>", "created before this instant", instant)
    .addOption(
      new Option(
        "--sort <order>",
        "by the last activity, by the creation, or by tokens, the most first: this reads all that match",
      )
        .choices(["recent", "created", "tokens"])
        .default("recent"),
    )
    .option("--held", "only sessions with a lease: its holder, for how long, alive or dead; this reads all that match")
    .option("--limit <n>", "the most sessions to list", wholeNumber, 50)
    .option("--after <cursor>", "continue after this cursor; if there are more sessions, stderr has the cursor")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure sessions list --agent ceo --since 2026-11-01",
        "perdure sessions list --label team=ops --label draft --sort created",
        "perdure sessions list --agent ceo --created-since 7d --sort created",
        "perdure sessions list --sort tokens --limit 10",
        "perdure sessions list --waiting approval",
        "perdure sessions list --held",
        "perdure sessions list --state expired --before 30d --limit 1000 --json | jq -r .id",
      ]),
    )
    .action(list);
}

async function list(options: ListOptions): Promise<void> {
  const { json, since, before, label: labels, store, tenant, sort, held: leased, ...filter } = options;
  if (filter.after !== undefined && (sort === "tokens" || leased === true))
    throw new CliError(
      "usage",
      "--after continues a list by the last activity or the creation; leave out --sort tokens and --held",
    );
  await using sessions = await openToRead(defined({ store, tenant }));
  const query: ListQuery = {
    ...filter,
    ...defined({
      activeSince: since,
      activeBefore: before,
      labels: labels && labelFilterOf(labels),
      order: sort === "created" ? sort : undefined,
    }),
  };
  if (leased === true) {
    await listHeld(sessions, query, { limit: filter.limit, sort, ...defined({ json }) });
    return;
  }
  if (sort === "tokens") {
    const most = await mostTokens(sessions, query, filter.limit);
    writeList(most, json);
    return;
  }
  const page = await sessions.list(query);
  writeList(page.items, json);
  for (const { id, reason } of page.unreadable ?? []) note(`session ${printable(id)} is not listed: ${reason}`);
  if (page.next !== undefined) note(`more: --after ${page.next}`);
}

function writeList(infos: readonly SessionInfo[], json: boolean | undefined): void {
  if (json === true) for (const info of infos) writeJson(info);
  else if (infos.length === 0) note("no sessions");
  else writeSessions(infos);
}

const byTokens = (a: SessionInfo, b: SessionInfo): number => b.counters.totalTokens - a.counters.totalTokens;

/** The sessions with the most tokens; memory holds a thousand more than the limit at most. */
async function mostTokens(
  sessions: Sessions,
  { limit: _limit, after: _after, order: _order, ...selection }: ListQuery,
  limit: number,
): Promise<readonly SessionInfo[]> {
  let most: SessionInfo[] = [];
  for await (const info of sessions.each(selection)) {
    most.push(info);
    if (most.length >= limit + 1000) most = most.toSorted(byTokens).slice(0, limit);
  }
  return most.toSorted(byTokens).slice(0, limit);
}

interface LeasedSession {
  readonly info: SessionInfo;
  readonly holder: LeaseHolder;
}

/** Lists the sessions with a lease, the oldest lease first. */
async function listHeld(
  sessions: Sessions,
  { limit: _limit, after: _after, order: _order, ...selection }: ListQuery,
  { limit, sort, json }: Pick<ListOptions, "limit" | "sort"> & JsonOption,
): Promise<void> {
  const leased: LeasedSession[] = [];
  for await (const { id, lease } of sessions.each(selection)) {
    const one = lease === null ? undefined : await leasedSession(sessions, id);
    if (one !== undefined) leased.push(one);
  }
  const inOrder = leased.toSorted((a, b) =>
    sort === "tokens" ? byTokens(a.info, b.info) : b.holder.heldMs - a.holder.heldMs,
  );
  const shown = inOrder.slice(0, limit);
  if (json === true) for (const { info, holder } of shown) writeJson({ ...info, lease: holder });
  else if (shown.length === 0) note("no session has a lease");
  else writeLeased(shown);
  if (shown.length < leased.length) note(`${leased.length - shown.length} more; --limit shows more`);
}

/** Undefined if its lease or the session has ended meanwhile. */
async function leasedSession(sessions: Sessions, id: string): Promise<LeasedSession | undefined> {
  try {
    const session = await sessions.get(id);
    const holder = await session.leaseHolder();
    return holder === null ? undefined : { info: session.info, holder };
  } catch (error) {
    if (hasCode(error, "session_not_found")) return undefined;
    throw error;
  }
}

function writeLeased(leased: readonly LeasedSession[]): void {
  writeTable(
    ["SESSION", "AGENT", "USER", "TURNS", "TOKENS", "HELD BY", "PROCESS", "FOR", "HOLDER"],
    leased.map(({ info, holder }) => [
      info.id,
      info.agent,
      info.user ?? "",
      String(info.counters.turns),
      String(info.counters.totalTokens),
      holder.instance,
      holder.host === null ? "" : `${holder.pid} on ${holder.host}`,
      span(holder.heldMs),
      holder.alive ? "alive" : "dead",
    ]),
  );
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
