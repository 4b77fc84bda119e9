/**
 * The words of a session inside Markdown. They cannot leave their quote, open HTML, or define links for the rest of the file.
 * A text in code stays as it is where every reader of Markdown takes it for code; HTML is escaped everywhere else.
 */

/** The text as a block quote, which ends what the text leaves open: a code block, a list. */
export function quoted(text: string): string {
  const reading = new Reading();
  // Markdown ends a line at a lone carriage return too.
  const lines = text.split(/\r\n|\r|\n/).map((line) => reading.escaped(line));
  return lines.map((line) => (line === "" ? ">" : `> ${line}`)).join("\n");
}

/** The text on one line, without HTML. */
export function quotedLine(text: string): string {
  return escaped(oneLine(text));
}

export function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}

/** Reads a text line by line, in one of three states. */
class Reading {
  /**
   * `text`, until a fence opens `code`, which ends with a fence. `unknown`, to the end: readers of Markdown differ in whether
   * an indented fence opens or ends code.
   */
  #state: "text" | "code" | "unknown" = "text";
  #fence = "";
  /** True where a backtick of the paragraph may pair with one of a later line. */
  #isPairOpen = false;

  escaped(line: string): string {
    if (this.#state === "code") return this.#inCode(line);
    if (this.#state === "text") {
      const [, fence] = /^(`{3,}(?=[^`]*$)|~{3,})/.exec(line) ?? [];
      if (fence !== undefined) {
        [this.#state, this.#fence, this.#isPairOpen] = ["code", fence, false];
        return line;
      }
      if (/^\s+(?:```|~~~)/.test(line)) this.#state = "unknown";
    }
    if (line.trim() === "") this.#isPairOpen = false;
    const spans = codeSpansOf(line);
    this.#isPairOpen ||= spans === undefined;
    return this.#isPairOpen || this.#state === "unknown" ? escaped(line) : escapedBeside(line, spans ?? []);
  }

  #inCode(line: string): string {
    const ticks = line.trim();
    if (!ticks.startsWith(this.#fence) || ticks.replaceAll(this.#fence[0]!, "") !== "") return line;
    this.#state = /^ {0,3}\S+[ \t]*$/.test(line) ? "text" : "unknown";
    return line;
  }
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** The code in a line; undefined where a backtick may belong to code that is not all in this line. */
function codeSpansOf(line: string): readonly Span[] | undefined {
  if (line.includes("\\`")) return undefined;
  const spans: Span[] = [];
  let open: { readonly start: number; readonly ticks: number } | undefined;
  for (const { 0: run, index } of line.matchAll(/`+/g)) {
    if (open === undefined) open = { start: index, ticks: run.length };
    else if (open.ticks === run.length) {
      spans.push({ start: open.start, end: index + run.length });
      open = undefined;
    }
  }
  // The bar of a table ends its cell, and code with it.
  const isCut = spans.some(({ start, end }) => line.slice(start, end).includes("|"));
  return open !== undefined || isCut ? undefined : spans;
}

function escapedBeside(line: string, spans: readonly Span[]): string {
  let end = 0;
  const pieces = spans.flatMap((span) => {
    const before = line.slice(end, span.start);
    end = span.end;
    return [withoutHtml(before), line.slice(span.start, span.end)];
  });
  return withoutDefinitions([...pieces, withoutHtml(line.slice(end))].join(""));
}

function escaped(text: string): string {
  return withoutDefinitions(withoutHtml(text));
}

function withoutHtml(text: string): string {
  return text.replaceAll(/<(?=[a-z/!?])/gi, "&lt;");
}

/** Without definitions of links and footnotes, which hold for the whole file. */
function withoutDefinitions(text: string): string {
  return text.replaceAll("]:", "]\\:");
}
