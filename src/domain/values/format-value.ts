/** A value for an error message: short, on one line. */
export function formatValue(value: unknown): string {
  if (typeof value === "string") return quote(value, 60);
  if (value === null || value === undefined || typeof value !== "object") {
    return typeof value === "function" ? "a function" : String(value);
  }
  return Array.isArray(value) ? "an array" : "an object";
}

/** The names of an object that an error lists. */
const namesMax = 12;

/** The names of an object for an error message, on one line. */
export function formatNames(names: readonly string[]): string {
  if (names.length === 0) return "{}";
  const shown = names.slice(0, namesMax).map((name) => clip(name, 60));
  return printable(`{ ${[...shown, ...(names.length > namesMax ? ["…"] : [])].join(", ")} }`);
}

/** A text in quotation marks, with its own marks escaped, truncated after `lengthMax` characters. */
export function quote(text: string, lengthMax: number): string {
  return printable(JSON.stringify(clip(text, lengthMax)));
}

// Control characters (C0, C1), line separators, format characters (changes of direction among them) and lone
// surrogates: they control a terminal, or hide or reorder text. The two joiners are allowed, because emoji, Persian and
// Indic scripts need them. Of these classes only that of format characters grows with Unicode. The other ones are ranges: an
// import of the library takes up to 0.3 ms on each property in a pattern.
// oxlint-disable-next-line no-control-regex -- the pattern looks for control characters
const steering = /(?![\u200c-\u200d])[\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff\p{Cf}]/gu;
// oxlint-disable-next-line no-control-regex -- the pattern looks for control characters
const steeringButLines = /(?![\u200c-\u200d\t\n])[\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff\p{Cf}]/gu;

/**
 * A text as one line that is safe on a terminal and in a log: control characters are escaped as in JSON, so a JSON text
 * keeps its value. Escaping twice changes nothing.
 */
export function printable(text: string): string {
  return text.replace(steering, escape);
}

/** The same for a text of several lines: line feeds and tabs stay. */
export function printableLines(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(steeringButLines, escape);
}

const shortEscapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escape(character: string): string {
  const units = Array.from({ length: character.length }, (_, index) => character.charCodeAt(index));
  return shortEscapes[character] ?? units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}

/** The text, truncated after `lengthMax` characters with an ellipsis. */
export function clip(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax)}…`;
}
