/** A value as an error message shows it: short, on one line, never a whole document. */
export function show(value: unknown): string {
  if (typeof value === "string") return quote(value, 60);
  if (value === null || value === undefined || typeof value !== "object") {
    return typeof value === "function" ? "a function" : String(value);
  }
  return Array.isArray(value) ? "an array" : "an object";
}

/** A text in quotation marks that it cannot end itself, cut after `lengthMax` characters. */
export function quote(text: string, lengthMax: number): string {
  return JSON.stringify(clip(text, lengthMax)).replace(steering, escape);
}

// What JSON leaves as it is and a terminal or a log may act upon: the C1 controls, separators, changes of direction.
const steering = /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** The text, cut after `lengthMax` characters with a mark that it was. */
export function clip(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax)}…`;
}
