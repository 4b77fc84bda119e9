import { readFileSync } from "node:fs";

/** The version of this program. */
export function version(): string {
  // package.json is three folders above src/cli/terminal/, and two above dist/cli/ and dist/parts/.
  const depth = import.meta.url.endsWith(".ts") ? "../../.." : "../..";
  const text = readFileSync(new URL(`${depth}/package.json`, import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
