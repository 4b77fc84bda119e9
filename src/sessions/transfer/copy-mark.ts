/**
 * The commit id of a copied record names the run of the copy, and the version of the record in the source. A later write in the
 * target replaces it. A record that still has it is unchanged since the copy, and the same as the source's where the source
 * still has that version; no log is read to compare them.
 */
import { hash } from "node:crypto";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { Core } from "../core/core.ts";
import { freshId } from "../session/opening.ts";

const beginning = "copy.";

/** A name for one run of a copy. */
export function copyRun(core: Core): string {
  return freshId(core);
}

export function copyMark(run: string, source: SessionRecord): string {
  return `${beginning}${run}.${stateOf(source)}`;
}

/** True for a record that is unchanged since a run copied it. */
export function isCopy({ commitId }: SessionRecord): boolean {
  return commitId.startsWith(beginning);
}

/** True for a record that is unchanged since this run copied it. */
export function isCopyOf({ commitId }: SessionRecord, run: string): boolean {
  return commitId.startsWith(`${beginning}${run}.`);
}

/** True for a copy of the present record of the source. */
export function isCurrent(copy: SessionRecord, source: SessionRecord): boolean {
  return isCopy(copy) && copy.commitId.endsWith(`.${stateOf(source)}`);
}

function stateOf({ tenant, id, version, commitId }: SessionRecord): string {
  return hash("sha256", JSON.stringify([tenant, id, version, commitId]), "hex").slice(0, 32);
}
