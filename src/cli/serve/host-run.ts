import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Option, type Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import type { Host, HostEvent, HostOptions, Isolation, WhenFull } from "../../host/index.ts";
import { hasCode, openSessions, type Sessions } from "../../index.ts";
import type { Listening, Server } from "../../server/index.ts";
import { readAgentsFile } from "../program/agents-file.ts";
import { wholeNumber } from "../terminal/arguments.ts";
import { examples, storeCommand } from "../program/command.ts";
import { serverSecret } from "../program/device-secret.ts";
import { hasModelEndpoint, modelOfEnvironment, storeUrl, variable, type StoreOptions } from "../program/environment.ts";
import { note } from "../terminal/output.ts";
import { Progress } from "../terminal/progress.ts";
import {
  aborted,
  guardReach,
  isLoopback,
  listenOn,
  port,
  writeLog,
  type ListenOptions,
} from "../program/server-process.ts";
import { untilSignalled } from "../terminal/signals.ts";
import { version } from "../terminal/version.ts";

interface RunOptions extends StoreOptions, ListenOptions {
  readonly isolation?: Isolation;
  readonly workers?: number;
  readonly memory?: number;
  readonly maxSessions?: number;
  readonly whenFull?: WhenFull;
  readonly idle?: string;
  readonly recover: "lazy" | "eager";
  readonly address?: string;
  readonly agents?: string;
  readonly quiet?: boolean;
}

/** Somewhat longer than a session may take to be put to sleep: who spoke to one that was broken off is told. */
const graceMs = 15_000;

export function runCommand(): Command {
  return storeCommand(
    "run",
    "Keep sessions live, each with the code of a module, and let programs speak to them over HTTP",
  )
    .argument("<runtime>", "the module whose default export is their code, such as ./agent.ts")
    .option("--port <number>", "where to listen; 0 for any that is free", port, 8080)
    .option("--host <address>", "on which address; any but loopback needs a key", "127.0.0.1")
    .option("--address <url>", "where other hosts on the store reach this one (default: where it listens)")
    .addOption(
      new Option(
        "--isolation <kind>",
        "where their code runs: all in this thread, many in each of some threads, each in a thread or process of its own (default: inline)",
      ).choices(["inline", "pool", "session", "process"]),
    )
    .option("--workers <n>", "threads of a pool (default: the machine's cores but one)", wholeNumber)
    .option("--memory <mib>", "the heap that each worker may have", wholeNumber)
    .option("--max-sessions <n>", "sessions that may be live at once (default: 10000)", wholeNumber)
    .addOption(
      new Option("--when-full <answer>", "to one more (default: reject)").choices([
        "reject",
        "passivate-least-recent",
        "wait",
      ]),
    )
    .option("--idle <duration>", "suspend a session after this idle time (default: 15m)")
    .addOption(
      new Option("--recover <mode>", "wake what lived in hosts that are gone when it is spoken to, or all of it now")
        .choices(["lazy", "eager"])
        .default("lazy"),
    )
    .option("--agents <file>", "the known agents (default: perdure.agents.json, where it exists)")
    .option("--quiet", "log what went wrong only")
    .addHelpText(
      "after",
      examples([
        "perdure keys create --name backend",
        "perdure host run ./agent.ts --isolation pool --idle 1h",
        "perdure host run ./agent.ts --host 0.0.0.0 --address http://10.0.0.3:8080 --recover eager",
        "curl -H 'Authorization: Bearer pdk_…' -H 'content-type: application/json' -d '{\"message\":\"Hello\",\"create\":true}' localhost:8080/v1/sessions/support-42/messages",
      ]) +
        "\nStopped by SIGTERM or SIGINT, it lets sessions finish what waits and hands them over. See docs/guide/8-live-sessions.md.\nThe log goes to stderr, one JSON object a line.\n",
    )
    .action(run);
}

async function run(runtime: string, options: RunOptions): Promise<void> {
  const store = storeUrl(options);
  const agents = readAgentsFile(options.agents);
  const hasModel = hasModelEndpoint() && variable("PERDURE_MODEL") !== undefined;
  const secret = await secretFor(store);
  const sessions = await openSessions({
    store,
    ...defined({ secret, tenant: options.tenant, agents }),
    ...(hasModel ? { model: modelOfEnvironment(undefined) } : {}),
  });
  try {
    const hasKey = await guardReach(sessions, options);
    if (!hasKey) note('sessions are closed to programs until there is a key: "perdure keys create --name operator"');
    await untilSignalled(async (signal) => await hostUntil(signal, { sessions, runtime, options }));
  } finally {
    await sessions.close();
  }
  // Stopped as asked is done, not failed.
  process.exitCode = 0;
}

/** Devices are for servers: a host on a store that has no place for a secret goes without. */
async function secretFor(store: string): Promise<string | undefined> {
  try {
    return await serverSecret(store);
  } catch (error) {
    if (hasCode(error, "secret_missing")) return undefined;
    throw error;
  }
}

interface Hosting {
  readonly sessions: Sessions;
  readonly runtime: string;
  readonly options: RunOptions;
}

async function hostUntil(signal: AbortSignal, { sessions, runtime, options }: Hosting): Promise<void> {
  const [{ createServer }, { startHost }] = await Promise.all([
    import("../../server/index.ts"),
    import("../../host/index.ts"),
  ]);
  // The host says where it listens, and the server needs the host: requests wait until there are both.
  const server = Promise.withResolvers<Server>();
  const listening = await listenOn(server.promise, options);
  let host: Host;
  try {
    host = await startHost(sessions, hostOptions(runtime, options, listening));
  } catch (error) {
    server.reject(error);
    await listening.close(0);
    throw error;
  }
  const deaf = logEvents(options);
  try {
    const log = (entry: Parameters<typeof writeLog>[0]): void => writeLog(entry, options);
    server.resolve(createServer({ sessions, host, secureCookies: !isLoopback(options), version: version(), log }));
    note(`perdure hosts ${runtime} on ${listening.url} (docs at ${listening.url}/docs)`);
    await recover(host, signal, options);
    await aborted(signal);
  } finally {
    await close(host, listening);
    deaf();
  }
}

/** What runs comes to its end while one session after another goes to sleep, and others may have it from then on. */
async function close(host: Host, listening: Listening): Promise<void> {
  const [closed] = await Promise.allSettled([host.close(), listening.close(graceMs)]);
  if (closed.status === "rejected") throw closed.reason;
}

function hostOptions(runtime: string, options: RunOptions, { url }: Listening): HostOptions {
  const { isolation, workers, memory, maxSessions, whenFull, idle } = options;
  const address = options.address ?? (isEverywhere(options) ? undefined : url);
  if (address === undefined) note("other hosts cannot find this one: say with --address where it is reached");
  return {
    runtime,
    ...defined({ isolation, workers, memoryMax: memory, maxSessions, whenFull, idleTimeout: idle, address }),
  };
}

/** All addresses of a machine are none that another one could use. */
function isEverywhere({ host }: ListenOptions): boolean {
  return ["0.0.0.0", "::", ""].includes(host);
}

async function recover(host: Host, signal: AbortSignal, options: RunOptions): Promise<void> {
  using progress = await Progress.begin();
  try {
    const { found, recovered, elsewhere, left, broken } = await host.recover({
      mode: options.recover,
      signal,
      onProgress: (at) => progress.count("waking", at.recovered + at.elsewhere + at.left + at.broken.length, at.found),
    });
    progress[Symbol.dispose]();
    for (const { id, error } of broken) writeLog({ level: "error", event: "broken", session: id, error }, options);
    if (options.recover === "lazy") return;
    note(`${recovered} of ${found} sessions woken, ${elsewhere} live elsewhere, ${broken.length} broken`);
    if (left > 0) note(`${left} more than may be live at once (--max-sessions) wake when they are spoken to`);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

const grave: readonly HostEvent["type"][] = ["crashed", "failed", "fenced", "untidy"];

/** Log what goes wrong with live sessions, until the returned function is called. */
function logEvents(options: RunOptions): () => void {
  const onEvent = (message: unknown): void => {
    const { type, session, cause } = message as HostEvent;
    if (!grave.includes(type)) return;
    writeLog({ level: type === "failed" ? "error" : "warn", event: type, session: session.id, error: cause }, options);
  };
  subscribe("perdure:host", onEvent);
  return () => unsubscribe("perdure:host", onEvent);
}
