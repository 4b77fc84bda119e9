import { InvalidArgumentError, Option, type Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import {
  createManager,
  openSessions,
  type Budget,
  type BusyPolicy,
  type DailyBudget,
  type DeviceIds,
  type ManagerOptions,
  type Model,
  type OpenOptions,
} from "../../index.ts";
import { readAgentsFile } from "../program/agents-file.ts";
import { wholeNumber } from "../terminal/arguments.ts";
import { deviceIdsOption, examples, storeCommand } from "../program/command.ts";
import { previousSecrets, serverSecret } from "../program/device-secret.ts";
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
import type { DeviceBudget } from "../../server/index.ts";
import { componentOf, followChannels, foundStore } from "../program/log-lines.ts";
import { logLevelOption, serverLog, type LogOptions } from "../program/log.ts";
import { note } from "../terminal/output.ts";
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
import { settingsOf, windowOf, withModelOptions, type ModelOptions } from "../program/model-options.ts";
import { opened } from "../program/store-wait.ts";
import { isRouted } from "../program/routed-agents.ts";
import { CliError } from "../terminal/cli-error.ts";
import { untilSignalled } from "../terminal/signals.ts";
import { version } from "../../files/version.ts";

interface ServeOptions extends StoreOptions, ListenOptions, ModelOptions, LifetimeOptions, LogOptions {
  readonly agents?: string;
  readonly model?: string;
  readonly cors: readonly string[];
  readonly deviceIds: DeviceIds;
  readonly tools: boolean;
  readonly handsOver: NonNullable<ManagerOptions["handsOver"]>;
  readonly grace: number;
  readonly drain: number;
  readonly fallback?: string;
  readonly openMetrics?: boolean;
  readonly deviceConversations?: boolean;
  readonly titles?: true;
  readonly deviceBudget?: DeviceBudget;
  readonly allDevicesBudget?: DeviceBudget;
  readonly userBudget?: Budget;
  readonly tenantBudget?: Budget;
  readonly clientAddress?: string;
  readonly busy?: BusyPolicy;
  readonly inlineBytesMax?: number;
}

/** The start and the stop of the server. */
const server = { component: "server", level: "info" } as const;

export function serveCommand(): Command {
  const command = storeCommand("serve", "Serve sessions over HTTP: chat for devices, sessions for programs with a key");
  return withLifetimeOptions(withModelOptions(command))
    .option("--port <number>", "the port to listen on; 0 for any free port", port, 8080)
    .option("--host <address>", "the address to listen on; any but loopback needs a key", "127.0.0.1")
    .option("--agents <file>", "the file of the agents (default: perdure.agents.json, if it exists)")
    .option("--model <name>", "the model to ask (default: the agent's, else $PERDURE_MODEL)")
    .option("--no-tools", "offer the model no handoff tools, for endpoints without tool support")
    .addOption(
      new Option(
        "--hands-over <when>",
        "when the agent that a model hands off to answers: the next message, or now, in the same turn",
      )
        .choices(["next", "now"])
        .default("next"),
    )
    .addOption(deviceIdsOption())
    .option("--cors <origin>", "an origin whose pages may call the server; may be repeated", collect, [])
    .option(
      "--fallback <how>",
      "continue while the store is unreachable: stateless, or with an outbox such as sqlite:outbox.db",
    )
    .option("--grace <seconds>", "how long running answers may take after a stop signal", wholeNumber, 10)
    .option(
      "--drain <seconds>",
      "how long /readyz answers 503 after a stop signal before the port closes",
      wholeNumber,
      1,
    )
    .option(
      "--device-budget <budget>",
      "the limit of one device in 24 hours: requests=200,tokens=100000,attachmentBytes=100000000",
      deviceBudget,
    )
    .option("--all-devices-budget <budget>", "the limit of all devices together in 24 hours", deviceBudget)
    .option(
      "--user-budget <budget>",
      "the limit of one user a day, UTC, in the store: tokens=100000,turns=200",
      dailyBudget,
    )
    .option("--tenant-budget <budget>", "the limit of the tenant a day, UTC, in the store", dailyBudget)
    .option(
      "--client-address <how>",
      "the address by which new devices are counted: connection, or the name of a proxy's header",
    )
    .addOption(
      new Option(
        "--busy <policy>",
        "what a message does that meets a running answer and names no policy (default: interrupt for devices, reject for keys)",
      ).choices(["reject", "queue", "interrupt", "take-over"]),
    )
    .option("--open-metrics", "answer /metrics without a key")
    .option(...deviceConversationsOption)
    .option("--titles", "let the model name sessions without a title after their first exchange")
    .option(...inlineBytesOption)
    .option(...logLevelOption)
    .option("--quiet", "log only warnings and errors; the same as --log-level warn")
    .addHelpText(
      "after",
      examples([
        "perdure keys create --name backend",
        "perdure serve --agents perdure.agents.json --ttl 30d --retention 90d",
        "perdure serve --host 0.0.0.0 --port 80 --store postgres://app@db.example/app",
        "curl -H 'X-Device-ID: 9f0c…' -H 'content-type: application/json' -d '{\"message\":\"Hello\"}' localhost:8080/v1/chat",
      ]) +
        "\nUse any model endpoint with OpenAI's API: set OPENAI_BASE_URL, OPENAI_API_KEY, PERDURE_MODEL.\nPERDURE_SECRET is the key of the hashes of devices; with an SQLite store it is created in a file beside the database.\nPERDURE_SECRET_PREVIOUS has earlier ones after a change, with commas between them.\nPERDURE_SERVER_KEYS has keys beside those of the store, such as admin:SECRET, with commas between them.\nDEFAULT_SESSION_TTL is how long a handoff lasts, in seconds.\nIf agents of the file have keywords or a description, messages are routed to them; see docs/guide/5-agents-and-handoffs.md.\nThe log goes to stderr, one JSON object a line.\n",
    )
    .action(serve);
}

async function serve(options: ServeOptions): Promise<void> {
  const store = storeUrl(options);
  const log = serverLog(options, variable("PERDURE_LOG"));
  const agents = readAgentsFile(options.agents);
  const lifetimes = lifetimesOf(options);
  const model: Model | undefined = hasModelEndpoint()
    ? modelOfEnvironment(options.model, settingsOf(options))
    : undefined;
  if (options.titles === true && model === undefined)
    throw new CliError("usage", "--titles needs a model; set OPENAI_BASE_URL or OPENAI_API_KEY");
  const keys = configuredKeys();
  const secret = await serverSecret(store);
  const stopLogging = followChannels(log, { serves: true });
  const [{ createServer }, { withStudio }, sessions] = await Promise.all([
    import("../../server/index.ts"),
    import("../../studio/with-studio.ts"),
    opened(store, () =>
      openSessions({
        store,
        secret,
        previousSecrets: previousSecrets(),
        deviceIds: options.deviceIds,
        budgets: defined({ user: perDay(options.userBudget), tenant: perDay(options.tenantBudget) }),
        ...lifetimes,
        ...defined({
          tenant: options.tenant,
          agents,
          model,
          window: windowOf(options),
          busy: options.busy,
          titles: options.titles === true ? {} : undefined,
          attachments: attachmentOptions(options),
          fallback: options.fallback === undefined ? undefined : fallbackOf(options.fallback),
        }),
      }),
    ),
  ]);
  try {
    const hasKey = await guardReach(sessions, keys, options);
    const made = createServer({
      sessions,
      keys,
      ...(isRouted(agents)
        ? { converse: createManager({ sessions, offersHandoffs: options.tools, handsOver: options.handsOver }).send }
        : {}),
      cors: options.cors,
      secureCookies: !isLoopback(options),
      openMetrics: options.openMetrics === true,
      deviceConversations: options.deviceConversations === true,
      deviceBudgets: defined({ device: options.deviceBudget, all: options.allDevicesBudget }),
      ...defined({ clientAddress: options.clientAddress }),
      version: version(),
      log: (entry) => log.write({ component: componentOf(entry.event), ...entry }),
    });
    await untilSignalled(async (signal) => {
      const listening = await listenOn(withStudio(made), options);
      note(`perdure listens on ${listening.url} (docs at ${listening.url}/docs, studio at ${listening.url}/studio)`);
      if (!hasKey)
        note(
          'the store has no key that is valid, so programs cannot use sessions; create one with "perdure keys create --name operator", or set PERDURE_SERVER_KEYS',
        );
      if (model === undefined)
        note("no model endpoint is set, so chats are refused; set OPENAI_BASE_URL or OPENAI_API_KEY");
      const found = await foundStore(store, sessions);
      log.write({ ...server, event: "started", version: version(), url: listening.url, ...found });
      await aborted(signal);
      log.write({ ...server, event: "stopping" });
      await listening.close(options.grace * 1000);
    });
  } finally {
    await sessions.close();
  }
  log.write({ ...server, event: "stopped" });
  stopLogging();
  // A stop by a signal is a success.
  process.exitCode = 0;
}

function fallbackOf(how: string): NonNullable<OpenOptions["fallback"]> {
  return how === "stateless" ? how : { outbox: how };
}

/** `requests=200,tokens=100000,attachmentBytes=100000000`, or some of them. */
function deviceBudget(text: string): DeviceBudget {
  return budgetIn(text, ["requests", "tokens", "attachmentBytes"]);
}

/** `turns=200,tokens=100000`, or one of them. */
function dailyBudget(text: string): Budget {
  return budgetIn(text, ["turns", "tokens"]);
}

function budgetIn<Unit extends string>(text: string, units: readonly Unit[]): { [unit in Unit]?: number } {
  const parts = text.split(",").map((part) => {
    const [, name, count] = /^(\w+)=(\d{1,15})$/.exec(part.trim()) ?? [];
    const unit = units.find((known) => known === name);
    if (unit === undefined)
      throw new InvalidArgumentError(`Expected ${units.join("=NUMBER, ")}=NUMBER, or several with a comma between.`);
    return [unit, Number(count)] as const;
  });
  return Object.fromEntries(parts) as { [unit in Unit]?: number };
}

function perDay(budget: Budget | undefined): DailyBudget | undefined {
  return budget && { ...budget, per: "day" };
}

function collect(value: string, values: readonly string[]): readonly string[] {
  return [...values, value];
}
