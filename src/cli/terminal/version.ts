import { readFileSync } from "node:fs";

/** The version of this program. */
export function version(): string {
  // From src/cli/terminal/ it is three folders up, from a built file in dist/cli/ or dist/parts/ two.
  const depth = import.meta.url.endsWith(".ts") ? "../../.." : "../..";
  const text = readFileSync(new URL(`${depth}/package.json`, import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
