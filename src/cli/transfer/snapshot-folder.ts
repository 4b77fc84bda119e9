import { SnapshotDirectory, type Sessions } from "../../index.ts";
import { variable, type StoreOptions } from "../program/environment.ts";

/** What commands on saved snapshots take beside the store. */
export interface FolderOptions extends StoreOptions {
  readonly dir?: string;
}

export const dirOption = [
  "--dir <folder>",
  "where snapshots are kept (default: $PERDURE_SNAPSHOTS or ./sessions)",
] as const;

/** The folder that option or environment name. */
export function snapshotFolder({ dir }: FolderOptions, sessions: Sessions): SnapshotDirectory {
  return new SnapshotDirectory(dir ?? variable("PERDURE_SNAPSHOTS") ?? "sessions", sessions);
}
