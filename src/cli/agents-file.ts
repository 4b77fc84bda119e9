import { existsSync, readFileSync } from "node:fs";
import { SessionError, type Agent } from "../index.ts";
import { parseDuration } from "../domain/duration.ts";

const defaultFile = "perdure.agents.json";

/** The agents of a file; undefined where none was named and the default one does not exist. */
export function readAgentsFile(file: string | undefined): Record<string, Agent> | undefined {
  const path = file ?? defaultFile;
  if (file === undefined && !existsSync(path)) return undefined;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason = code === "ENOENT" ? "there is no such file" : `it cannot be read (${code})`;
    throw new SessionError("agents_file_invalid", { file: path, reason }, { cause: error });
  }
  return parseAgents(text, path);
}

/**
 * The agents of a text: `{"ceo": {"instructions": "…", "model": "…", "ttl": "1h"}, …}`.
 * @throws SessionError `agents_file_invalid` with the line
 */
export function parseAgents(text: string, file: string): Record<string, Agent> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    const line = lineAt(text, errorPosition(text));
    throw new SessionError("agents_file_invalid", { file, line, reason: "this is not JSON" }, { cause: error });
  }
  if (!isRecord(parsed)) {
    throw new SessionError("agents_file_invalid", {
      file,
      line: 1,
      reason: 'expected {"name": {"instructions": "…"}, …}',
    });
  }
  for (const [name, agent] of Object.entries(parsed)) {
    const reason = faultOf(name, agent);
    if (reason === undefined) continue;
    throw new SessionError("agents_file_invalid", {
      file,
      line: lineAt(text, text.indexOf(JSON.stringify(name))),
      reason,
    });
  }
  return parsed as Record<string, Agent>;
}

const fields = ["instructions", "model", "ttl"];

/** What is wrong with an agent; undefined where nothing is. */
function faultOf(name: string, agent: unknown): string | undefined {
  const shown = JSON.stringify(name);
  if (name === "") return "an agent needs a name";
  if (!isRecord(agent)) return `agent ${shown} is not an object with ${fields.join(", ")}`;
  for (const [field, value] of Object.entries(agent)) {
    if (!fields.includes(field))
      return `agent ${shown} has the unknown field ${JSON.stringify(field)}; known: ${fields.join(", ")}`;
    if (field !== "ttl" && typeof value !== "string") return `${field} of agent ${shown} is not a text`;
  }
  try {
    if (agent["ttl"] !== undefined) parseDuration(agent["ttl"] as string, "ttl");
  } catch (error) {
    return `agent ${shown}: ${(error as Error).message}`;
  }
  return undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function lineAt(text: string, position: number): number {
  return text.slice(0, Math.max(0, position)).split("\n").length;
}

/**
 * Where a text stops being JSON. JSON.parse does not say in all cases; but a beginning of valid JSON fails only because
 * it ends, so the longest such beginning is found by halving.
 */
function errorPosition(text: string): number {
  let good = 0;
  let bad = text.length;
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (mayGoOn(text.slice(0, middle))) good = middle;
    else bad = middle;
  }
  return good;
}

function mayGoOn(beginning: string): boolean {
  try {
    JSON.parse(beginning);
    return true;
  } catch (error) {
    const { message } = error as Error;
    const position = /position (\d+)/.exec(message)?.[1];
    return (
      message.includes("end of JSON input") ||
      message.startsWith("Unterminated") ||
      Number(position) >= beginning.length
    );
  }
}
