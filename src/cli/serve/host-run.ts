import { setTimeout as sleep } from "node:timers/promises";
import { Option, type Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import type { Host, HostOptions, Isolation, WhenFull } from "../../host/index.ts";
import { openSessions, type Sessions } from "../../index.ts";
import type { ConfiguredKey, ListenedServer, Listening } from "../../server/index.ts";
import { readAgentsFile } from "../program/agents-file.ts";
import { wholeNumber } from "../terminal/arguments.ts";
import { examples, storeCommand } from "../program/command.ts";
import { previousSecrets, secretIfSet } from "../program/device-secret.ts";
import {
  attachmentOptions,
  inlineBytesOption,
  hasModelEndpoint,
  modelOfEnvironment,
  storeUrl,
  variable,
  type StoreOptions,
} from "../program/environment.ts";
import { lifetimesOf, withLifetimeOptions, type LifetimeOptions } from "../program/lifetime-options.ts";
import { componentOf, followChannels, foundStore } from "../program/log-lines.ts";
import { logLevelOption, serverLog, type Log, type LogOptions } from "../program/log.ts";
import { note } from "../terminal/output.ts";
import { Progress } from "../terminal/progress.ts";
import {
  aborted,
  configuredKeys,
  deviceConversationsOption,
  guardReach,
  isLoopback,
  listenOn,
  port,
  type ListenOptions,
} from "../program/server-process.ts";
import { opened } from "../program/store-wait.ts";
import { untilSignalled } from "../terminal/signals.ts";
import { version } from "../../files/version.ts";
import { counted } from "../../errors/counted.ts";

interface RunOptions extends StoreOptions, LifetimeOptions, Omit<ListenOptions, "drain">, LogOptions {
  readonly drain: number;
  readonly isolation?: Isolation;
  readonly workers?: number;
  readonly memory?: number;
  readonly maxSessions?: number;
  readonly whenFull?: WhenFull;
  readonly idle?: string;
  readonly recover: "lazy" | "eager" | "all";
  readonly address?: string;
  readonly agents?: string;
  readonly deviceConversations?: boolean;
  readonly inlineBytesMax?: number;
}

/** Longer than the suspension of a session may take, so that the callers of an aborted session get its error. */
const graceMs = 15_000;

/** The start and the stop of the server. */
const server = { component: "server", level: "info" } as const;

export function runCommand(): Command {
  const command = storeCommand("run", "Run live sessions with the code of a module, and serve them over HTTP");
  return withLifetimeOptions(command)
    .argument("<runtime>", "the module whose default export is the code of the sessions, such as ./agent.ts")
    .option("--port <number>", "the port to listen on; 0 for any free port", port, 8080)
    .option("--host <address>", "the address to listen on; any but loopback needs a key", "127.0.0.1")
    .option("--address <url>", "the URL at which other hosts on the store reach this one (default: where it listens)")
    .addOption(
      new Option(
        "--isolation <kind>",
        "where the code runs: inline in this thread, in a pool of threads, or each session in its own thread (session) or process (default: inline)",
      ).choices(["inline", "pool", "session", "process"]),
    )
    .option("--workers <n>", "the threads of a pool (default: the cores of the machine less one)", wholeNumber)
    .option("--memory <mib>", "the most heap of each worker, in MiB", wholeNumber)
    .option("--max-sessions <n>", "the most live sessions at once (default: 10000)", wholeNumber)
    .addOption(
      new Option("--when-full <answer>", "what to do with one session more (default: reject)").choices([
        "reject",
        "passivate-least-recent",
        "wait",
      ]),
    )
    .option("--idle <duration>", "suspend a session after this idle time (default: 15m)")
    .addOption(
      new Option(
        "--recover <mode>",
        "activate sessions at their next message (lazy); now those of dead hosts (eager), or also those that a stopped host has suspended (all)",
      )
        .choices(["lazy", "eager", "all"])
        .default("lazy"),
    )
    .option(
      "--drain <seconds>",
      "how long /readyz answers 503 after a stop signal before the host suspends its sessions",
      wholeNumber,
      1,
    )
    .option("--agents <file>", "the file of the agents (default: perdure.agents.json, if it exists)")
    .option(...deviceConversationsOption)
    .option(...inlineBytesOption)
    .option(...logLevelOption)
    .option("--quiet", "log only warnings and errors; the same as --log-level warn")
    .addHelpText(
      "after",
      examples([
        "perdure keys create --name backend",
        "perdure host run ./agent.ts --isolation pool --idle 1h",
        "perdure host run ./agent.ts --host 0.0.0.0 --address http://10.0.0.3:8080 --recover eager",
        "curl -H 'Authorization: Bearer pdk_…' -H 'content-type: application/json' -d '{\"message\":\"Hello\",\"create\":true}' localhost:8080/v1/sessions/support-42/messages",
      ]) +
        "\nAt SIGTERM or SIGINT it serves on for --drain seconds, then answers the waiting messages and suspends its sessions; the next host activates them.\nPERDURE_SERVER_KEYS has keys beside those of the store, such as admin:SECRET, with commas between them.\nDEFAULT_SESSION_TTL is how long a handoff lasts, in seconds.\nSee docs/guide/8-live-sessions.md.\nThe log goes to stderr, one JSON object a line.\n",
    )
    .action(run);
}

async function run(runtime: string, options: RunOptions): Promise<void> {
  const store = storeUrl(options);
  const log = serverLog(options, variable("PERDURE_LOG"));
  const agents = readAgentsFile(options.agents);
  const lifetimes = lifetimesOf(options);
  const hasModel = hasModelEndpoint() && variable("PERDURE_MODEL") !== undefined;
  const keys = configuredKeys();
  const secret = await secretIfSet(store);
  const stopLogging = followChannels(log, { serves: true });
  const sessions = await opened(store, () =>
    openSessions({
      store,
      previousSecrets: previousSecrets(),
      ...lifetimes,
      ...defined({ secret, tenant: options.tenant, agents, attachments: attachmentOptions(options) }),
      ...(hasModel ? { model: modelOfEnvironment(undefined) } : {}),
    }),
  );
  try {
    const hasKey = await guardReach(sessions, keys, options);
    if (!hasKey)
      note(
        'the store has no key that is valid, so programs cannot use sessions; create one with "perdure keys create --name operator", or set PERDURE_SERVER_KEYS',
      );
    await untilSignalled(async (signal) => await hostUntil(signal, { sessions, keys, runtime, options, store, log }));
  } finally {
    await sessions.close();
  }
  log.write({ ...server, event: "stopped" });
  stopLogging();
  // A stop by a signal is a success.
  process.exitCode = 0;
}

interface Hosting {
  readonly sessions: Sessions;
  readonly keys: readonly ConfiguredKey[];
  readonly runtime: string;
  readonly options: RunOptions;
  /** The URL of the store. */
  readonly store: string;
  readonly log: Log;
}

async function hostUntil(
  signal: AbortSignal,
  { sessions, keys, runtime, options, store, log }: Hosting,
): Promise<void> {
  const [{ createServer }, { withStudio }, { startHost }] = await Promise.all([
    import("../../server/index.ts"),
    import("../../studio/with-studio.ts"),
    import("../../host/index.ts"),
  ]);
  // The host needs the address of the listener, and the server needs the host: requests wait until both exist.
  const made = Promise.withResolvers<ListenedServer>();
  const listening = await listenOn(made.promise, { port: options.port, host: options.host });
  let host: Host;
  try {
    host = await startHost(sessions, hostOptions(runtime, options, listening));
  } catch (error) {
    made.reject(error);
    await listening.close(0);
    throw error;
  }
  try {
    const http = createServer({
      sessions,
      host,
      keys,
      deviceConversations: options.deviceConversations === true,
      secureCookies: !isLoopback(options),
      version: version(),
      log: (entry) => log.write({ component: componentOf(entry.event), ...entry }),
    });
    made.resolve(withStudio(http));
    note(
      `perdure hosts ${runtime} on ${listening.url} (docs at ${listening.url}/docs, studio at ${listening.url}/studio)`,
    );
    const found = await foundStore(store, sessions);
    log.write({ ...server, event: "started", version: version(), url: listening.url, ...found });
    await recover(host, signal, { options, log });
    await aborted(signal);
    log.write({ ...server, event: "stopping" });
    http.drain();
    await sleep(options.drain * 1000);
  } finally {
    await close(host, listening);
  }
}

/** Requests end while the host suspends its sessions; other hosts may activate each one from then on. */
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

/** Other hosts cannot use an address such as 0.0.0.0, which means all addresses of a machine. */
function isEverywhere({ host }: ListenOptions): boolean {
  return ["0.0.0.0", "::", ""].includes(host);
}

async function recover(
  host: Host,
  signal: AbortSignal,
  { options, log }: { readonly options: RunOptions; readonly log: Log },
): Promise<void> {
  using progress = await Progress.begin();
  try {
    const { found, recovered, elsewhere, left, broken } = await host.recover({
      mode: options.recover === "lazy" ? "lazy" : "eager",
      ...(options.recover === "all" ? { include: "stopped" as const } : {}),
      signal,
      onProgress: (at) =>
        progress.count("activating", at.recovered + at.elsewhere + at.left + at.broken.length, at.found),
    });
    progress[Symbol.dispose]();
    for (const { id, error } of broken)
      log.write({ component: "host", level: "error", event: "broken", session: id, error });
    if (options.recover === "lazy") return;
    note(
      `${recovered} of ${counted(found, "session")} activated, ${elsewhere} live on other hosts, ${broken.length} failed`,
    );
    if (left > 0)
      note(`--max-sessions leaves ${counted(left, "more session")}; the next message to a session activates it`);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
