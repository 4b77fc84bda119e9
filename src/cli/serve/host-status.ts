import { setTimeout as sleep } from "node:timers/promises";
import { clearScreenDown, cursorTo } from "node:readline";
import type { Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { errorOf } from "../../protocol/problem.ts";
import { unansweredReason } from "../../protocol/fetch-error.ts";
import type { WireHost } from "../../protocol/wire.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openToRead, requiredKey, type StoreOptions } from "../program/environment.ts";
import { note, span, writeJson, writeTable } from "../terminal/output.ts";
import { untilSignalled } from "../terminal/signals.ts";
import { listHosts, type HostInfo } from "../../admin.ts";

interface StatusOptions extends StoreOptions, JsonOption {
  readonly key?: string;
  readonly watch?: boolean;
}

/** The answer of a host, or the reason why it has none. */
interface Report {
  readonly info: HostInfo;
  readonly status?: WireHost;
  readonly failure?: string;
}

type Live = WireHost["items"][number];

/** A host that does not answer within this time counts as unreachable. */
const answerWithinMs = 3000;
/** A host without a heartbeat for this time is not listed. */
const silentShownMs = 600_000;
const everyMs = 1000;
/** The most sessions on a page of a server. */
const sessionsMax = 1000;

export function statusCommand(): Command {
  return storeCommand("status", "Show the hosts on a store and their live sessions; asks each host over HTTP")
    .option(
      "--key <key>",
      "the key for the hosts; the right read is enough (default: $PERDURE_KEY, which the process list does not show)",
    )
    .option("--watch", "refresh every second until Ctrl-C")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure host status",
        "perdure host status --watch",
        "perdure host status --json | jq '.liveSessions[]? | select(.phase == \"failed\")'",
      ]),
    )
    .action(status);
}

async function status({ json = false, watch = false, key: keyOption, ...options }: StatusOptions): Promise<void> {
  const key = requiredKey(keyOption);
  await untilSignalled(async (signal) => {
    await using sessions = await openToRead(options);
    const look = async (): Promise<void> => {
      const known = (await listHosts(sessions)).items.filter(({ alive, seenAt }) => alive || isRecent(seenAt));
      const reports = await Promise.all(known.map(async (info) => await ask(info, key, signal)));
      if (signal.aborted) return;
      if (json) for (const report of reports) writeJson(plain(report));
      else write(reports, watch);
    };
    await look();
    while (watch && !signal.aborted) {
      await sleep(everyMs, undefined, { signal }).catch(() => undefined); // stopped by a signal
      if (!signal.aborted) await look();
    }
  });
}

function isRecent(seenAt: Date): boolean {
  return Date.now() - seenAt.getTime() < silentShownMs;
}

async function ask(info: HostInfo, key: string, signal: AbortSignal): Promise<Report> {
  try {
    const response = await fetch(`${info.address.replace(/\/$/, "")}/v1/host?limit=${sessionsMax}`, {
      headers: { authorization: `Bearer ${key}` },
      redirect: "error",
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerWithinMs)]),
    });
    const body: unknown = await response.json();
    if (response.ok) return { info, status: body as WireHost };
    return { info, failure: errorOf(body)?.message ?? `not a host: HTTP ${response.status}` };
  } catch (error) {
    const isLate = error instanceof Error && error.name === "TimeoutError";
    return { info, failure: isLate ? `no answer within ${span(answerWithinMs)}` : unansweredReason(error) };
  }
}

function plain({ info, status: known, failure }: Report): object {
  const { items: live, ...rest } = known ?? {};
  return { ...info, answers: known !== undefined, ...rest, ...defined({ liveSessions: live, failure }) };
}

function write(reports: readonly Report[], watch: boolean): void {
  const isLive = watch && process.stdout.isTTY;
  if (isLive) {
    cursorTo(process.stdout, 0, 0);
    clearScreenDown(process.stdout);
  }
  if (reports.length === 0) {
    note("no hosts");
    return;
  }
  writeTable(["HOST", "PROCESS", "LIVE", "WAITING", "MAILBOX", "RESTARTS", "MEMORY", "STATE"], reports.map(hostRow));
  const all = reports.flatMap(({ info, status: known }) => (known?.items ?? []).map((live) => ({ live, info })));
  if (all.length === 0) return;
  const sorted = all.sort((a, b) => concern(b.live) - concern(a.live) || a.live.idleMs - b.live.idleMs);
  const room = isLive ? Math.max(0, process.stdout.rows - reports.length - 4) : sorted.length;
  process.stdout.write("\n");
  writeTable(
    ["SESSION", "AGENT", "STATE", "AGE", "IDLE", "MAILBOX", "RESTARTS", "MEMORY", "OWNER"],
    sorted.slice(0, room).map(({ live, info }) => sessionRow(live, info)),
  );
  const more = reports.reduce((sum, { status: known }) => sum + unseen(known), sorted.length - room);
  if (more > 0 && !isLive) note(`${more} more sessions`);
}

/** The sort order: failing sessions first, then full mailboxes. */
function concern({ phase, mailbox }: Live): number {
  const troubled: readonly Live["phase"][] = ["failed", "restarting", "stopping", "starting"];
  const place = troubled.indexOf(phase);
  return place < 0 ? mailbox : 1e9 * (troubled.length - place) + mailbox;
}

/** The number of sessions that are not on the page. */
function unseen(known: WireHost | undefined): number {
  if (known?.next === undefined) return 0;
  return Object.values(known.metrics.byPhase).reduce((sum, count) => sum + count, 0) - known.items.length;
}

function hostRow({ info, status: known, failure = "" }: Report): readonly string[] {
  const name = [info.address, `${info.pid} on ${info.host}`];
  if (known === undefined) {
    const heartbeat = span(Math.max(0, Date.now() - info.seenAt.getTime()));
    return [...name, "", "", "", "", "", `does not answer (${failure}), last heartbeat ${heartbeat} ago`];
  }
  const { live, liveMax, waiting, mailbox, counts } = known.metrics;
  const numbers = [`${live} of ${liveMax}`, waiting, mailbox, counts.restarted].map(String);
  return [...name, ...numbers, size(known.memoryBytes), "answers"];
}

function sessionRow(live: Live, { address }: HostInfo): readonly string[] {
  const { id, agent = "", phase, ageMs, idleMs, mailbox, restarts, memoryBytes, failure } = live;
  const state = failure === undefined ? phase : `${phase}: ${failure}`;
  const memory = memoryBytes === undefined ? "" : size(memoryBytes);
  return [id, agent, state, span(ageMs), span(idleMs), String(mailbox), String(restarts), memory, address];
}

function size(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`;
}
