import { existsSync, readFileSync } from "node:fs";
import { SessionError, type Agent } from "../../index.ts";
import { parseAgentsFile } from "./agents-schema.ts";

const defaultFile = "perdure.agents.json";

/** The agents of a file; undefined where none was named and the default one does not exist. */
export function readAgentsFile(file: string | undefined): Readonly<Record<string, Agent>> | undefined {
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
  return parseAgentsFile(text, path);
}
