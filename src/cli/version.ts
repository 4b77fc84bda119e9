import { readFileSync } from "node:fs";

/** The version of this program. */
export function version(): string {
  // Two folders up stands package.json, from `src/cli` as from `dist/cli`.
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
