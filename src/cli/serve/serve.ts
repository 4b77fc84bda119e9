import { InvalidArgumentError, type Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { createManager, openSessions, type Agent, type Model, type OpenOptions } from "../../index.ts";
import { readAgentsFile } from "../program/agents-file.ts";
import { wholeNumber } from "../terminal/arguments.ts";
import { examples, storeCommand } from "../program/command.ts";
import { serverSecret } from "../program/device-secret.ts";
import {
  handoffTtlOfEnvironment,
  hasModelEndpoint,
  modelOfEnvironment,
  storeUrl,
  type StoreOptions,
} from "../program/environment.ts";
import type { DeviceBudget } from "../../server/index.ts";
import { note } from "../terminal/output.ts";
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

interface ServeOptions extends StoreOptions, ListenOptions {
  readonly agents?: string;
  readonly model?: string;
  readonly cors: readonly string[];
  readonly tools: boolean;
  readonly grace: number;
  readonly fallback?: string;
  readonly openMetrics?: boolean;
  readonly quiet?: boolean;
  readonly deviceBudget?: DeviceBudget;
  readonly allDevicesBudget?: DeviceBudget;
  readonly clientAddress?: string;
}

export function serveCommand(): Command {
  return storeCommand("serve", "Serve sessions over HTTP: chat for devices, sessions for programs with a key")
    .option("--port <number>", "where to listen; 0 for any that is free", port, 8080)
    .option("--host <address>", "on which address; any but loopback needs a key", "127.0.0.1")
    .option("--agents <file>", "the known agents (default: perdure.agents.json, where it exists)")
    .option("--model <name>", "the model to ask (default: the agent's, else $PERDURE_MODEL)")
    .option("--no-tools", "offer the model no handoff tools, for endpoints that take none")
    .option("--cors <origin>", "an origin whose pages may call; may be repeated", collect, [])
    .option("--fallback <how>", "go on without a store that is away: stateless, or an outbox such as sqlite:outbox.db")
    .option("--grace <seconds>", "how long running answers may take when the server is stopped", wholeNumber, 10)
    .option(
      "--device-budget <budget>",
      "what one device may spend in 24 hours: requests=200,tokens=100000",
      deviceBudget,
    )
    .option("--all-devices-budget <budget>", "what all devices together may spend in 24 hours", deviceBudget)
    .option("--client-address <how>", "how new devices are counted by address: connection, or the header of a proxy")
    .option("--open-metrics", "answer /metrics without a key")
    .option("--quiet", "log what went wrong only")
    .addHelpText(
      "after",
      examples([
        "perdure keys create --name backend",
        "perdure serve --agents perdure.agents.json",
        "perdure serve --host 0.0.0.0 --port 80 --store postgres://app@db.example/app",
        "curl -H 'X-Device-ID: 9f0c…' -H 'content-type: application/json' -d '{\"message\":\"Hello\"}' localhost:8080/v1/chat",
      ]) +
        "\nThe model's endpoint is any that speaks OpenAI's API: OPENAI_BASE_URL, OPENAI_API_KEY, PERDURE_MODEL.\nPERDURE_SECRET keys the hashes of devices; beside an SQLite file it is kept in a file of its own.\nDEFAULT_SESSION_TTL is how long a handoff lasts, in seconds.\nWhere agents of the file have keywords or a description, messages are routed to them; see docs/guide/5-agents-and-handoffs.md.\nThe log goes to stderr, one JSON object a line.\n",
    )
    .action(serve);
}

async function serve(options: ServeOptions): Promise<void> {
  const store = storeUrl(options);
  const agents = readAgentsFile(options.agents);
  const handoffTtl = handoffTtlOfEnvironment();
  const model: Model | undefined = hasModelEndpoint() ? modelOfEnvironment(options.model) : undefined;
  const [{ createServer }, sessions] = await Promise.all([
    import("../../server/index.ts"),
    openSessions({
      store,
      secret: await serverSecret(store),
      ...defined({
        tenant: options.tenant,
        agents,
        model,
        handoffTtl,
        fallback: options.fallback === undefined ? undefined : fallbackOf(options.fallback),
      }),
    }),
  ]);
  try {
    const hasKey = await guardReach(sessions, options);
    const server = createServer({
      sessions,
      ...(isRouted(agents) ? { converse: createManager({ sessions, offersHandoffs: options.tools }).send } : {}),
      cors: options.cors,
      secureCookies: !isLoopback(options),
      openMetrics: options.openMetrics === true,
      deviceBudgets: defined({ device: options.deviceBudget, all: options.allDevicesBudget }),
      ...defined({ clientAddress: options.clientAddress }),
      version: version(),
      log: (entry) => writeLog(entry, options),
    });
    await untilSignalled(async (signal) => {
      const listening = await listenOn(server, options);
      note(`perdure listens on ${listening.url} (docs at ${listening.url}/docs)`);
      if (!hasKey) note('sessions are closed to programs until there is a key: "perdure keys create --name operator"');
      if (model === undefined) note("no model is set: chats will be refused; set OPENAI_BASE_URL or OPENAI_API_KEY");
      await aborted(signal);
      await listening.close(options.grace * 1000);
    });
  } finally {
    await sessions.close();
  }
  // Stopped as asked is done, not failed.
  process.exitCode = 0;
}

function fallbackOf(how: string): NonNullable<OpenOptions["fallback"]> {
  return how === "stateless" ? how : { outbox: how };
}

/** True where several agents have keywords or a description to be routed by; else the session's own agent answers. */
function isRouted(agents: Readonly<Record<string, Agent>> = {}): boolean {
  const all = Object.values(agents);
  return all.length > 1 && all.some(({ description, keywords }) => description !== undefined || keywords !== undefined);
}

/** `requests=200,tokens=100000`, or one of them. */
function deviceBudget(text: string): DeviceBudget {
  const budget: { requests?: number; tokens?: number } = {};
  for (const part of text.split(",")) {
    const [, unit, count] = /^(requests|tokens)=(\d{1,15})$/.exec(part.trim()) ?? [];
    if (unit === undefined || count === undefined)
      throw new InvalidArgumentError("Expected requests=NUMBER, tokens=NUMBER, or both with a comma between.");
    budget[unit as keyof DeviceBudget] = Number(count);
  }
  return budget;
}

function collect(value: string, values: readonly string[]): readonly string[] {
  return [...values, value];
}
