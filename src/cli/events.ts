import { once } from "node:events";
import { Option, type Command } from "commander";
import { eventKinds, eventSeverities, type EventType } from "../domain/event.ts";
import type { EventFilter, EventSeverity, Sessions, TenantEvent } from "../index.ts";
import { instant, wholeNumber } from "./arguments.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "./command.ts";
import { openFor, type StoreOptions } from "./environment.ts";
import { localTime, note, printable, writeJson } from "./output.ts";
import { untilSignalled } from "./signals.ts";

interface EventsOptions extends StoreOptions, JsonOption {
  readonly type?: readonly EventType[];
  readonly severity?: EventSeverity;
  readonly session?: string;
  readonly agent?: string;
  readonly since?: Date;
  readonly limit: number;
  readonly follow?: boolean;
}

export function eventsCommand(): Command {
  return storeCommand("events", "What happened to the sessions beside their turns, oldest first")
    .addOption(new Option("--type <type...>", "only of these types").choices(Object.keys(eventKinds)))
    .addOption(new Option("--severity <severity>", "this grave or graver").choices(eventSeverities))
    .option("--session <id>", "only of this session")
    .option("--agent <name>", "only of sessions for this agent")
    .option("--since <instant>", "all from then on: 2026-11-20, 2026-11-20T18:00, or 24h for a day ago", instant)
    .option("--limit <n>", "the last so many, where --since does not say otherwise", wholeNumber, 50)
    .option("--follow", "go on with what happens from here on, until Ctrl-C")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure events --severity warning --since 24h",
        "perdure events --session ceo_01m7…",
        "perdure events --follow --type failed taken_over --json | jq .session",
      ]),
    )
    .action(events);
}

async function events({ json, limit, follow, store, tenant, ...filter }: EventsOptions): Promise<void> {
  await untilSignalled(async (signal) => {
    await using sessions = await openFor({
      ...(store === undefined ? {} : { store }),
      ...(tenant === undefined ? {} : { tenant }),
    });
    const write = json === true ? writeEventJson : writeEvent;
    if (follow === true || filter.since !== undefined) {
      await writeEach(sessions, { ...filter, follow: follow === true, signal }, write);
    } else if (!(await writeLast(sessions, { ...filter, limit }, write))) {
      note("no events");
    }
  });
}

/** False where there are none. */
async function writeLast(
  sessions: Sessions,
  query: EventFilter & { readonly limit: number },
  write: (event: TenantEvent) => void,
): Promise<boolean> {
  const page = await sessions.events({ ...query, order: "descending" });
  for (const event of page.events.toReversed()) write(event);
  if (page.next !== undefined) note(`only the last ${query.limit}; --limit or --since shows more`);
  return page.events.length > 0;
}

/** As many as there are, no faster than they are read, until nobody reads them any more. */
async function writeEach(
  sessions: Sessions,
  { signal, ...walk }: EventFilter & { readonly follow: boolean; readonly signal: AbortSignal },
  write: (event: TenantEvent) => void,
): Promise<void> {
  const gone = new AbortController();
  const onError = (): void => gone.abort();
  process.stdout.once("error", onError);
  const stop = AbortSignal.any([signal, gone.signal]);
  try {
    for await (const event of sessions.eachEvent({ ...walk, signal: stop })) {
      write(event);
      if (process.stdout.writableNeedDrain) await once(process.stdout, "drain", { signal: stop });
    }
  } catch (error) {
    if (!stop.aborted) throw error;
  } finally {
    process.stdout.removeListener("error", onError);
  }
}

function writeEventJson({ at, ...event }: TenantEvent): void {
  writeJson({ at: new Date(at), ...event });
}

function writeEvent(event: TenantEvent): void {
  const { at, seq: _, session, sessionAgent: __, type, category: ___, severity, status: ____, ...data } = event;
  const details = Object.entries(data)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name} ${typeof value === "string" ? JSON.stringify(value) : String(value)}`);
  const line = [localTime(new Date(at)), severity.padEnd(7), session, type, details.join(", ")];
  process.stdout.write(`${printable(line.join("  ").trimEnd())}\n`);
}
