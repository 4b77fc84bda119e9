/** Guards a file about to be replaced: it must not be a database in use. */
import { realpathSync, statSync, type Stats } from "node:fs";
import { basename, dirname, join } from "node:path";
import { invalidArgument } from "../domain/values/invalid-argument.ts";
import type { Expected } from "../errors/expectations.ts";

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
  if (found !== undefined && !found.isFile()) refuse(file, "regular_file");
  if (
    store !== undefined &&
    [store, realOf(store)].some((name) => companions.some((end) => isSame(file, name + end)))
  ) {
    refuse(file, "file_outside_store");
  }
  const isInUse = [file, realOf(file)].some((name) => logs.some((end) => statOf(name + end) !== undefined));
  if (isInUse) refuse(file, "database_at_rest");
}

function refuse(file: string, expected: Expected): never {
  throw invalidArgument("file", file, { expected });
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
