/** The version of this package; "unknown" in a bundle, which has no package.json beside it. */
export function version(): string {
  try {
    // package.json is two folders above src/files/, dist/server/, dist/cli/ and dist/parts/.
    const text = process
      .getBuiltinModule("node:fs")
      .readFileSync(new URL("../../package.json", import.meta.url), "utf8");
    return (JSON.parse(text) as { version: string }).version;
  } catch {
    return "unknown";
  }
}
