/** A value as an error message shows it: short, on one line, never a whole document. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(clip(value, 60));
  if (value === null || value === undefined || typeof value !== "object") {
    return typeof value === "function" ? "a function" : String(value);
  }
  return Array.isArray(value) ? "an array" : "an object";
}

/** The text, cut after `lengthMax` characters with a mark that it was. */
export function clip(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax)}…`;
}
