import { existsSync, readFileSync } from "node:fs";
import { SessionError, type Agent } from "../../index.ts";
import { parseAgentsFile } from "./agents-schema.ts";

const defaultFile = "perdure.agents.json";

/** The agents of a file; undefined if no file is named and the default one does not exist. */
export function readAgentsFile(file: string | undefined): Readonly<Record<string, Agent>> | undefined {
  const path = file ?? defaultFile;
  if (file === undefined && !existsSync(path)) return undefined;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new SessionError("agents_file_invalid", { file: path, expected: "readable_file" }, { cause: error });
  }
  return parseAgentsFile(text, path);
}
