/** `perdure mcp`: sessions for clients of the Model Context Protocol, over stdio or HTTP. */
import { InvalidArgumentError, type Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { version } from "../../files/version.ts";
import { createManager, openSessions, type Model, type Sessions } from "../../index.ts";
import { createMcpServer, type McpServer } from "../../adapters/mcp.ts";
import { packageMcp } from "../../adapters/mcp/package-mcp.ts";
import { readAgentsFile } from "../program/agents-file.ts";
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
import { followChannels, foundStore } from "../program/log-lines.ts";
import { Log, logLevelOption, serverLog, type LogOptions } from "../program/log.ts";
import { settingsOf, windowOf, withModelOptions, type ModelOptions } from "../program/model-options.ts";
import { isRouted } from "../program/routed-agents.ts";
import { aborted, configuredKeys, guardReach, isLoopback, listenOn, port } from "../program/server-process.ts";
import { opened } from "../program/store-wait.ts";
import { wholeNumber } from "../terminal/arguments.ts";
import { CliError } from "../terminal/cli-error.ts";
import { note } from "../terminal/output.ts";
import { untilSignalled } from "../terminal/signals.ts";

interface McpOptions extends StoreOptions, ModelOptions, LifetimeOptions, LogOptions {
  readonly agents?: string;
  readonly model?: string;
  readonly tools: boolean;
  readonly http?: Address;
  readonly keys?: boolean;
  readonly allowHost: readonly string[];
  readonly grace: number;
  readonly inlineBytesMax?: number;
}

/** An address to listen on. */
interface Address {
  readonly host: string;
  readonly port: number;
}

/** The path of the endpoint over HTTP. */
const path = "/mcp";
const server = { component: "server", level: "info" } as const;

export function mcpCommand(): Command {
  const command = storeCommand("mcp", "Serve sessions to clients of the Model Context Protocol, over stdio or HTTP");
  return withLifetimeOptions(withModelOptions(command))
    .option("--http <address>", "listen on HTTP instead of stdio: :8787, or 0.0.0.0:8787", address)
    .option("--keys", "over HTTP, require a key of the store or of $PERDURE_SERVER_KEYS; any but loopback needs it")
    .option(
      "--allow-host <name>",
      "a name of this server in the URLs of its clients; may be repeated (default: those of the machine itself)",
      collect,
      [],
    )
    .option("--agents <file>", "the file of the agents (default: perdure.agents.json, if it exists)")
    .option("--model <name>", "the model to ask (default: the agent's, else $PERDURE_MODEL)")
    .option("--no-tools", "offer the model no handoff tools, for endpoints without tool support")
    .option("--grace <seconds>", "how long running answers may take after a stop signal", wholeNumber, 10)
    .option(...inlineBytesOption)
    .option(...logLevelOption)
    .option("--quiet", "log only warnings and errors; the same as --log-level warn")
    .addHelpText(
      "after",
      examples([
        "perdure mcp --store sqlite:/path/to/chat.db",
        "claude mcp add perdure -- npx perdure mcp --store sqlite:/path/to/chat.db",
        "perdure mcp --store postgres://app@db.example/app --http 0.0.0.0:8787 --keys --allow-host agents.example",
      ]) +
        "\nNeeds the package @modelcontextprotocol/server: npm install @modelcontextprotocol/server.\nOver stdio the client that starts the command may read and write all sessions of the tenant.\nUse any model endpoint with OpenAI's API: set OPENAI_BASE_URL, OPENAI_API_KEY, PERDURE_MODEL.\n",
    )
    .action(serveMcp);
}

async function serveMcp(options: McpOptions): Promise<void> {
  const { http } = options;
  if (http === undefined) {
    for (const [name, isGiven] of Object.entries({
      "--keys": options.keys,
      "--allow-host": options.allowHost.length > 0,
    }))
      if (isGiven === true) throw new CliError("usage", `${name} is for HTTP; add --http :8787, or leave it out`);
  }
  // A missing package is reported before a store is created.
  await packageMcp();
  const store = storeUrl(options);
  // Over stdio the client shows the log to its user.
  const log =
    http === undefined && options.logLevel === undefined ? quietLog() : serverLog(options, variable("PERDURE_LOG"));
  const agents = readAgentsFile(options.agents);
  const lifetimes = lifetimesOf(options);
  const model: Model | undefined = hasModelEndpoint()
    ? modelOfEnvironment(options.model, settingsOf(options))
    : undefined;
  const keys = options.keys === true ? configuredKeys() : [];
  const secret = await secretIfSet(store);
  const stopLogging = followChannels(log, { serves: true });
  const sessions = await opened(store, () =>
    openSessions({
      store,
      previousSecrets: previousSecrets(),
      ...lifetimes,
      ...defined({ secret, tenant: options.tenant, agents, model, window: windowOf(options) }),
      ...defined({ attachments: attachmentOptions(options) }),
      // The client of a connection starts and ends the process as it likes.
      ...(http === undefined ? { sweep: false as const } : {}),
    }),
  );
  try {
    const mcp = await createMcpServer({
      sessions,
      keys: options.keys === true ? keys : false,
      ...(isRouted(agents) ? { converse: createManager({ sessions, offersHandoffs: options.tools }).send } : {}),
      ...defined({ hosts: options.allowHost.length > 0 ? options.allowHost : undefined }),
      version: version(),
      onError: (error) => log.write({ component: "server", level: "error", event: "mcp_failed", error }),
    });
    if (model === undefined)
      note("no model endpoint is set, so questions are refused; set OPENAI_BASE_URL or OPENAI_API_KEY");
    await untilSignalled(async (signal) => {
      if (http === undefined) await Promise.race([mcp.serveStdio(), aborted(signal)]);
      else await serveHttp(mcp, { http, sessions, options, store, log, signal });
    });
  } finally {
    await sessions.close();
  }
  stopLogging();
  // A stop by a signal is a success.
  process.exitCode = 0;
}

async function serveHttp(
  mcp: McpServer,
  {
    http,
    sessions,
    options,
    store,
    log,
    signal,
  }: {
    readonly http: Address;
    readonly sessions: Sessions;
    readonly options: McpOptions;
    readonly store: string;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  if (options.keys === true) {
    if (!(await guardReach(sessions, configuredKeys(), { host: "localhost" })))
      note(
        'the store has no key that is valid, so every request is refused; create one with "perdure keys create --name assistant", or set PERDURE_SERVER_KEYS',
      );
  } else if (!isLoopback(http)) {
    throw new CliError(
      "usage",
      `--http is on ${http.host}, and requests need no key; add --keys, or use a loopback address such as :${http.port}`,
    );
  }
  const listening = await listenOn(
    {
      fetch: async (request, env, context) =>
        new URL(request.url).pathname === path
          ? await mcp.fetch(request, env, context)
          : new Response(`the endpoint is ${path}\n`, { status: 404, headers: { "content-type": "text/plain" } }),
      drain: () => undefined,
      stop: async () => await mcp.close(),
    },
    http,
  );
  note(`perdure serves MCP on ${listening.url}${path}`);
  const found = await foundStore(store, sessions);
  log.write({ ...server, event: "started", version: version(), url: `${listening.url}${path}`, ...found });
  await aborted(signal);
  log.write({ ...server, event: "stopping" });
  await listening.close(options.grace * 1000);
  log.write({ ...server, event: "stopped" });
}

function quietLog(): Log {
  return new Log(variable("PERDURE_LOG") ?? "error", { name: "PERDURE_LOG", otherwise: "error" });
}

/** `:8787`, `8787`, `0.0.0.0:8787` or `[::]:8787`; without a host that of the machine itself. */
function address(text: string): Address {
  const [, host, digits] = /^(?:(\[[\da-f:.]+\]|[\w.-]+)?:)?(\d{1,5})$/i.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError("Expected a port such as :8787, or a host and a port.");
  return { host: host?.replace(/^\[|\]$/g, "") ?? "127.0.0.1", port: port(digits) };
}

function collect(value: string, values: readonly string[]): readonly string[] {
  return [...values, value];
}
