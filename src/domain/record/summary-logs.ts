/**
 * The logs of summaries: each is named for the last turn that its summaries cover. A change that deletes or alters a turn deletes
 * the summaries of it in the same step, and needs no reading to find them.
 */
import { editable, splice, type Draft } from "./change.ts";
import { summarizedTo, type LogName } from "./entry.ts";
import type { SessionRecord } from "./record.ts";

/** A log of summaries, and the last turn that they cover. */
export interface SummaryLog {
  readonly log: LogName;
  readonly to: number;
}

/** The logs of summaries of a session, the one that covers most first. */
export function summaryLogs({ heads, archive }: Pick<SessionRecord, "heads" | "archive">): readonly SummaryLog[] {
  return Object.keys({ ...archive?.heads, ...heads })
    .flatMap((log) => {
      const to = summarizedTo(log);
      return to === undefined ? [] : [{ log, to }];
    })
    .toSorted((a, b) => b.to - a.to);
}

/** Delete the summaries of turns after `after`, in the draft, those of every branch. */
export function dropSummaries(draft: Draft, after: number): void {
  for (const { log, to } of summaryLogs({ heads: draft.record.heads, archive: null }))
    if (to > after) dropSummaryLog(draft, log);
}

/** Delete the summaries of a log, in the draft. */
export function dropSummaryLog(draft: Draft, log: LogName): void {
  splice(draft, log, 1, []);
  const { [log]: _, ...heads } = draft.record.heads;
  editable(draft).heads = heads;
}
