import { InvalidArgumentError, Option, type Command } from "commander";
import {
  eventKinds,
  eventSeverities,
  isAppEventType,
  type EventType,
  type OwnEventType,
} from "../../domain/record/event.ts";
import { jsonOf } from "../../domain/turns/known-parts.ts";
import { defined } from "../../domain/values/defined.ts";
import type { RemoteSessions } from "../../client/index.ts";
import { type EventFilter, type EventSeverity, type Sessions, type TenantEvent } from "../../index.ts";
import { instant, wholeNumber } from "../terminal/arguments.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openToRead, type StoreOptions } from "../program/environment.ts";
import { serverAt } from "../program/server.ts";
import { writeEach } from "../terminal/each.ts";
import { localTime, note, writeJson, writeLine } from "../terminal/output.ts";
import { untilSignalled } from "../terminal/signals.ts";
import { counted } from "../../errors/counted.ts";

interface EventsOptions extends StoreOptions, JsonOption {
  readonly type?: readonly EventType[];
  readonly severity?: EventSeverity;
  readonly session?: string;
  readonly agent?: string;
  readonly since?: Date;
  readonly limit: number;
  readonly follow?: boolean;
  readonly url?: string;
  readonly key?: string;
}

function eventTypes(text: string, earlier: readonly EventType[] = []): readonly EventType[] {
  const known = Object.keys(eventKinds) as OwnEventType[];
  const type = known.find((one) => one === text) ?? (isAppEventType(text) ? text : undefined);
  if (type !== undefined) return [...earlier, type];
  throw new InvalidArgumentError(`Allowed choices are ${known.join(", ")}, app.NAME.`);
}

/** Reads events from a store or a server. */
type EventReader = Pick<Sessions | RemoteSessions, "listEvents" | "eachEvent">;

export function eventsCommand(): Command {
  return storeCommand("events", "List the events of sessions, oldest first")
    .option(
      "--type <type...>",
      `only events of these types: ${Object.keys(eventKinds).join(", ")}, or app.NAME of an application`,
      eventTypes,
    )
    .addOption(
      new Option("--severity <severity>", "only events of this severity or a higher one").choices(eventSeverities),
    )
    .option("--session <id>", "only events of this session")
    .option("--agent <name>", "only events of sessions with this agent")
    .option(
      "--since <instant>",
      "all events from this instant on: 2026-11-20, 2026-11-20T18:00, or 24h for a day ago",
      instant,
    )
    .option("--limit <n>", "how many of the last events to list, without --since", wholeNumber, 50)
    .option("--follow", "continue with new events until Ctrl-C")
    .addOption(new Option("--url <url>", "ask this server instead of a store").conflicts(["store", "tenant"]))
    .option(
      "--key <key>",
      "the key for the server; the right read is enough (default: $PERDURE_KEY, which the process list does not show)",
    )
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure events --severity warning --since 24h",
        "perdure events --session ceo_01m7…",
        "perdure events --follow --type failed taken_over --json | jq .session",
        "perdure events --follow --url https://agents.example",
      ]),
    )
    .action(events);
}

async function events({ json, limit, follow, store, tenant, url, key, ...filter }: EventsOptions): Promise<void> {
  await untilSignalled(async (signal) => {
    const named = defined({ store, tenant });
    await using local = url === undefined ? await openToRead(named) : undefined;
    const sessions = local ?? (await serverAt(url ?? "", key));
    const write = json === true ? writeEventJson : writeEvent;
    if (follow === true || filter.since !== undefined) {
      const walk = { ...filter, follow: follow === true };
      await writeEach((stop) => sessions.eachEvent({ ...walk, signal: stop }), write, signal);
    } else if (!(await writeLast(sessions, { ...filter, limit }, write))) {
      note("no events");
    }
  });
}

/** False if there are none. */
async function writeLast(
  sessions: EventReader,
  query: EventFilter & { readonly limit: number },
  write: (event: TenantEvent) => void,
): Promise<boolean> {
  const page = await sessions.listEvents({ ...query, order: "descending" });
  for (const event of page.items.toReversed()) write(event);
  if (page.next !== undefined)
    note(`only the last ${counted(query.limit, "event")} of the range; --limit or --since lists more`);
  return page.items.length > 0;
}

function writeEventJson({ at, ...event }: TenantEvent): void {
  writeJson({ at, ...event });
}

function writeEvent(event: TenantEvent): void {
  const { at, seq: _, session, sessionAgent: __, type, category: ___, severity, status: ____, ...data } = event;
  const details = Object.entries(data)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name} ${detailText(value)}`);
  const line = [localTime(at), severity.padEnd(7), session, type, details.join(", ")];
  writeLine(line.join("  ").trimEnd());
}

function detailText(value: unknown): string {
  if (value instanceof Date) return localTime(value);
  return typeof value === "number" || typeof value === "boolean" ? String(value) : jsonOf(value);
}
