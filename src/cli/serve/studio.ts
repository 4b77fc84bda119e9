import type { Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { readAgentsFile } from "../program/agents-file.ts";
import { examples, storeCommand } from "../program/command.ts";
import { previousSecrets, secretIfSet } from "../program/device-secret.ts";
import {
  hasModelEndpoint,
  modelOfEnvironment,
  openExisting,
  storeUrl,
  type StoreOptions,
} from "../program/environment.ts";
import { aborted, listenOn, port } from "../program/server-process.ts";
import { createStudio } from "../../studio/index.ts";
import { loopbackOnly } from "../../studio/loopback.ts";
import { note, writeLine } from "../terminal/output.ts";
import { untilSignalled } from "../terminal/signals.ts";

interface StudioCommandOptions extends StoreOptions {
  readonly port: number;
  readonly write?: boolean;
  readonly agents?: string;
  readonly model?: string;
}

export function studioCommand(): Command {
  return storeCommand("studio", "Show sessions, conversations, leases and usage in a page on this machine")
    .option("--port <number>", "the port to listen on; 0 for any free port", port, 4983)
    .option("--write", "let the page change sessions: cancel, end, archive, hold, fork, approve, erase")
    .option("--agents <file>", "the file of the agents (default: perdure.agents.json, if it exists)")
    .option("--model <name>", "the model that answers in the playground (default: the agent's, else $PERDURE_MODEL)")
    .addHelpText(
      "after",
      examples([
        "perdure studio",
        "perdure studio --write --store postgres://app@db.example/app",
        "perdure serve   # has the same page at /studio, for callers with a key",
      ]) +
        "\nThe page listens on 127.0.0.1 only. The link that is printed opens it once; the page keeps its access in its tab.\n",
    )
    .action(studio);
}

async function studio(options: StudioCommandOptions): Promise<void> {
  const store = storeUrl(options);
  const agents = readAgentsFile(options.agents);
  const model = hasModelEndpoint() ? modelOfEnvironment(options.model) : undefined;
  const secret = await secretIfSet(store);
  // Without --write the key of the page refuses changes; the store takes those of news and of the index of the search.
  const secrets = { previousSecrets: previousSecrets(), ...defined({ secret }) };
  await using sessions = await openExisting(options, { agents, ...secrets, ...defined({ model }) });
  const made = createStudio({ sessions });
  await untilSignalled(async (signal) => {
    const listening = await listenOn(loopbackOnly(made), { port: options.port, host: "127.0.0.1" });
    note(
      `the studio listens on ${listening.url}, ${options.write === true ? "with changes" : "read-only"}; open it by:`,
    );
    writeLine(`${listening.url}${made.link(options.write === true ? "admin" : "read")}`);
    await aborted(signal);
    await listening.close(2000);
  });
  // A stop by a signal is a success.
  process.exitCode = 0;
}
