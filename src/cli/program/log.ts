/** The log of a command: one JSON object a line on stderr, by component and level. */
import { defined } from "../../domain/values/defined.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { CliError } from "../terminal/cli-error.ts";
import { jsonLine } from "../terminal/output.ts";

/** The least level of the lines that a component writes. */
export type LogLevel = "debug" | "info" | "warn" | "error" | "off";
export type LogComponent = (typeof components)[number];

const levels: readonly LogLevel[] = ["debug", "info", "warn", "error", "off"];
const components = ["server", "session", "agent", "sweep", "store", "host"] as const;

/** One line. Its fields are ids, numbers, codes and names: never the text of a message. */
export interface LogLine {
  readonly component: LogComponent;
  readonly level: Exclude<LogLevel, "off">;
  readonly event: string;
  readonly ms?: number | undefined;
  readonly error?: unknown;
  readonly [field: string]: unknown;
}

/** The options of a command that writes a log. */
export interface LogOptions {
  readonly logLevel?: string;
  readonly quiet?: boolean;
}

export const logLevelOption = [
  "--log-level <levels>",
  "the least level of the log's lines: debug, info, warn, error or off, also by component, as info,session:debug (default: $PERDURE_LOG, else info)",
] as const;

/** The log of a command. A component without a level of its own has that of the whole. */
export class Log {
  readonly #levels: ReadonlyMap<LogComponent, LogLevel>;

  /** @throws CliError for a level or a component that does not exist */
  constructor(text: string, { name, otherwise }: { readonly name: string; readonly otherwise: LogLevel }) {
    this.#levels = parseLevels(text, name, otherwise);
  }

  isWritten(component: LogComponent, level: LogLevel): boolean {
    return levels.indexOf(level) >= levels.indexOf(this.#levels.get(component) ?? "off");
  }

  write({ error, ...line }: LogLine): void {
    const { component, level, event, ms, ...fields } = line;
    if (!this.isWritten(component, level)) return;
    const took = defined({ ms: ms === undefined ? undefined : Math.round(ms * 100) / 100 });
    const cause = error instanceof Error ? { error: error.message, stack: error.stack } : {};
    const time = new Date().toISOString();
    process.stderr.write(`${jsonLine({ time, level, component, event, ...fields, ...took, ...cause })}\n`);
  }
}

/**
 * The log of a server: the option, else `--quiet`, else `PERDURE_LOG`, else all from level `info`.
 * @throws CliError for a level or a component that does not exist
 */
export function serverLog({ logLevel, quiet = false }: LogOptions, fromEnvironment: string | undefined): Log {
  if (logLevel !== undefined) return new Log(logLevel, { name: "--log-level", otherwise: "info" });
  if (quiet) return new Log("warn", { name: "--quiet", otherwise: "warn" });
  return new Log(fromEnvironment ?? "info", { name: "PERDURE_LOG", otherwise: "info" });
}

/** The log of a command that ends by itself: what `PERDURE_LOG` asks for, else none. @throws CliError as {@link serverLog} */
export function commandLog(fromEnvironment: string | undefined): Log | undefined {
  return fromEnvironment === undefined
    ? undefined
    : new Log(fromEnvironment, { name: "PERDURE_LOG", otherwise: "off" });
}

function parseLevels(text: string, name: string, otherwise: LogLevel): ReadonlyMap<LogComponent, LogLevel> {
  let whole = otherwise;
  const own = new Map<LogComponent, LogLevel>();
  for (const part of text.split(",").map((one) => one.trim())) {
    const [left = "", right] = part.split(":");
    const level = levels.find((known) => known === (right ?? left));
    const component = components.find((known) => known === left);
    if (level === undefined || (right !== undefined && component === undefined)) throw unknownPart(name, part);
    if (right === undefined) whole = level;
    else if (component !== undefined) own.set(component, level);
  }
  return new Map(components.map((component) => [component, own.get(component) ?? whole]));
}

function unknownPart(name: string, part: string): CliError {
  return new CliError(
    "usage",
    `${name} has ${formatValue(part)}; expected a level (${levels.join(", ")}) or COMPONENT:LEVEL with a component of ${components.join(", ")}`,
  );
}
