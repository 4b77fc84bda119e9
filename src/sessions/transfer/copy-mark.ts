/**
 * The mark of a copied record, in the place of a commit's own: it names the run of the copy, and the version of the record in
 * the source. Any later write in the target replaces it. So a record that still bears it is as it was copied, and it is the
 * same as the source's where that version still stands; no log is read to tell.
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

/** True for a record that is as it was copied, by whichever run. */
export function isCopy({ commitId }: SessionRecord): boolean {
  return commitId.startsWith(beginning);
}

/** True for a record that is as this run copied it. */
export function isCopyOf({ commitId }: SessionRecord, run: string): boolean {
  return commitId.startsWith(`${beginning}${run}.`);
}

/** True for a copy of the source's record as that stands now. */
export function isCurrent(copy: SessionRecord, source: SessionRecord): boolean {
  return isCopy(copy) && copy.commitId.endsWith(`.${stateOf(source)}`);
}

function stateOf({ tenant, id, version, commitId }: SessionRecord): string {
  return hash("sha256", JSON.stringify([tenant, id, version, commitId]), "hex").slice(0, 32);
}
