import { Option, type Command } from "commander";
import type { News, NewsItem } from "../../index.ts";
import { defined } from "../../domain/values/defined.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, type StoreOptions } from "../program/environment.ts";
import { serverAt } from "../program/server.ts";
import { writeEach } from "../terminal/each.ts";
import { writeJson, writeLine } from "../terminal/output.ts";
import { untilSignalled } from "../terminal/signals.ts";

interface NewsCommandOptions extends StoreOptions, JsonOption {
  readonly after?: string;
  readonly url?: string;
  readonly key?: string;
}

export function newsCommand(): Command {
  return storeCommand("news", "Follow the changes of all sessions, streams and documents until Ctrl-C")
    .option("--after <cursor>", "continue after this cursor, which --json prints; it can be used for ten minutes")
    .addOption(new Option("--url <url>", "ask this server instead of a store").conflicts(["store", "tenant"]))
    .option(
      "--key <key>",
      "the key for the server; the right read is enough (default: $PERDURE_KEY, which the process list does not show)",
    )
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure news", "perdure news --json | jq -c 'select(.state == \"ended\")'"]))
    .action(news);
}

async function news({ json, after, store, tenant, url, key }: NewsCommandOptions): Promise<void> {
  await untilSignalled(async (signal) => {
    // A subscription is a row in the store.
    await using local = url === undefined ? await openExisting(defined({ store, tenant })) : undefined;
    const sessions = local ?? (await serverAt(url ?? "", key));
    const write = json === true ? writeNewsJson : writeNews;
    await writeEach((stop) => sessions.news({ ...defined({ after }), signal: stop }), write, signal);
  });
}

/** One line for each item; the last one of the news has the cursor. */
function writeNewsJson({ cursor, items }: News): void {
  for (const item of items.slice(0, -1)) writeJson(item);
  writeJson({ ...items.at(-1), cursor });
}

function writeNews({ items }: News): void {
  for (const item of items) writeLine(lineOf(item));
}

function lineOf(item: NewsItem): string {
  if ("reset" in item) return "reset: earlier changes may be missing";
  if ("document" in item) {
    const { scope, key, ...position } = item.document;
    return ["document", `${scope}/${key}`, ...fieldsOf(position)].join("  ");
  }
  const [kind, id] = "stream" in item ? (["stream", item.stream] as const) : (["session", item.session] as const);
  const { [kind as "session"]: _, ...position } = item as NewsItem & { readonly session: string };
  return [kind, id, ...fieldsOf(position)].join("  ");
}

/** The fields of a position that say something: `turns 3, state active`. */
function fieldsOf(position: object): readonly string[] {
  const fields = Object.entries(position).filter(([, value]) => value !== null && value !== false);
  return fields.map(([name, value]) =>
    value === true ? name : `${name} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`,
  );
}
