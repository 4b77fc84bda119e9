/** Guards a file about to be replaced: it must not be a database in use. */
import { realpathSync, statSync, type Stats } from "node:fs";
import { basename, dirname, join } from "node:path";
import { formatValue } from "../domain/values/format-value.ts";
import { SessionError } from "../errors.ts";

/** Log files that SQLite keeps beside an open database: beside another database, SQLite would replay them into it. */
const logs = ["-wal", "-journal"];
/** Suffixes of all files of a store. */
const companions = ["", ...logs, "-shm", ".secret"];

/**
 * Refuses to write `file` if that would replace the store in the file `store`, under whatever name, or a database in
 * use.
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

/** Whether both names resolve to one file, also through links; a missing file resolves to where it would be. */
export function isSame(one: string, other: string): boolean {
  const [first, second] = [statOf(one), statOf(other)];
  if (first === undefined || second === undefined) return realOf(one) === realOf(other);
  return first.dev === second.dev && first.ino === second.ino;
}

function statOf(file: string): Stats | undefined {
  try {
    return statSync(file, { throwIfNoEntry: false });
  } catch {
    // Below a file, or in a folder without permission: the write reports it.
    return undefined;
  }
}

/** The name without links; if the file does not exist, that of its folder. */
function realOf(file: string): string {
  for (const [known, rest] of [
    [file, ""],
    [dirname(file), basename(file)],
  ] as const) {
    try {
      return join(realpathSync(known), rest);
    } catch {
      // Does not exist: try its parent.
    }
  }
  return file;
}
