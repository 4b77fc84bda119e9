/** Where a file is about to be written in the place of another: never in that of a database that somebody works in. */
import { realpathSync, statSync, type Stats } from "node:fs";
import { basename, dirname, join } from "node:path";
import { formatValue } from "../domain/values/format-value.ts";
import { SessionError } from "../errors.ts";

/** What SQLite keeps beside a database while it is in use: under another one, it would be read into that. */
const logs = ["-wal", "-journal"];
/** What else belongs to a store in a file. */
const companions = ["", ...logs, "-shm", ".secret"];

/**
 * Refuse to write `file` where that would take away the store in the file `store`, under whatever name, or a database in use.
 * @throws SessionError `argument_invalid`
 */
export function guardTarget(file: string, store: string | undefined): void {
  const found = statOf(file);
  if (found !== undefined && !found.isFile()) refuse(file, "a file that can be replaced");
  if (
    store !== undefined &&
    [store, realOf(store)].some((name) => companions.some((end) => isSame(file, name + end)))
  ) {
    refuse(file, `another file than those of the store itself, such as ${join(dirname(file), "copy-of-it")}`);
  }
  const log = [file, realOf(file)].flatMap((name) => logs.map((end) => name + end)).find((name) => statOf(name));
  if (log !== undefined) {
    refuse(file, `another file: ${basename(log)} beside it says that it is a database in use`);
  }
}

function refuse(file: string, expected: string): never {
  throw new SessionError("argument_invalid", { name: "the file to write", value: formatValue(file), expected });
}

/** Whether both names lead to one file, through links as well; one that is not there yet is where it would be. */
export function isSame(one: string, other: string): boolean {
  const [first, second] = [statOf(one), statOf(other)];
  if (first === undefined || second === undefined) return realOf(one) === realOf(other);
  return first.dev === second.dev && first.ino === second.ino;
}

function statOf(file: string): Stats | undefined {
  try {
    return statSync(file, { throwIfNoEntry: false });
  } catch {
    // Under a file, or behind a folder that may not be entered: writing there says so.
    return undefined;
  }
}

/** The name without links; that of its folder, where the file is not there. */
function realOf(file: string): string {
  for (const [known, rest] of [
    [file, ""],
    [dirname(file), basename(file)],
  ] as const) {
    try {
      return join(realpathSync(known), rest);
    } catch {
      // Not there: the next best.
    }
  }
  return file;
}
