import { SnapshotDirectory } from "../../admin.ts";
import { type Sessions } from "../../index.ts";
import { variable, type StoreOptions } from "../program/environment.ts";

/** The options of commands on snapshots. */
export interface FolderOptions extends StoreOptions {
  readonly dir?: string;
}

export const dirOption = [
  "--dir <folder>",
  "folder of the snapshots (default: $PERDURE_SNAPSHOTS or ./sessions)",
] as const;

/** The folder named by the option or the environment. */
export function snapshotFolder({ dir }: FolderOptions, sessions: Sessions): SnapshotDirectory {
  return new SnapshotDirectory(dir ?? variable("PERDURE_SNAPSHOTS") ?? "sessions", sessions);
}
