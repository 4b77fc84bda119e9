/** The progress of an erasure: the numbers of deleted records, and a hash over them. */
import { countTurns } from "../../domain/branches/segments.ts";
import { isReferenceScope } from "../../domain/attachments/attachment.ts";
import type { Change } from "../../domain/record/change.ts";
import { createHash } from "node:crypto";
import { headOf } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { ErasedCounts, ErasureReceipt, ErasureReceiptFormat1 } from "./erasure-receipt.ts";

/** The content of the progress record. */
export interface Progress {
  readonly startedAt: number;
  readonly erased: ErasedCounts;
  readonly hash: string;
  readonly receipt: ErasureReceipt | ErasureReceiptFormat1 | null;
}

/** The counts of an erasure that has deleted nothing. */
export const nothing: ErasedCounts = {
  sessions: 0,
  forks: 0,
  archives: 0,
  turns: 0,
  events: 0,
  devices: 0,
  codes: 0,
  documents: 0,
  attachments: 0,
  outbox: 0,
};

/** A kind of record that an erasure deletes. */
export type Kind = "session" | "fork" | "mark" | "device" | "pointer" | "code" | "staged" | "stream" | "share";

/** A record that was deleted. */
interface Counted {
  readonly kind: Kind | "outbox";
  readonly record: SessionRecord;
}

/** The progress after these records were deleted. */
export function counted(progress: Progress, items: readonly Counted[]): Progress {
  const erased = items.reduce((counts, { kind, record }) => plus(counts, kind, record), progress.erased);
  const hash = items.reduce(
    (before, { kind, record: { id, version } }) =>
      createHash("sha256")
        .update(JSON.stringify([before, kind, id, version]))
        .digest("hex"),
    progress.hash,
  );
  return { ...progress, erased, hash };
}

/** The progress after these changes removed attachments of sessions. A content that other sessions refer to stays. */
export function withAttachments({ erased, ...progress }: Progress, changes: readonly Change[]): Progress {
  const count = changes.filter(({ key }) => isReferenceScope(key.tenant)).length;
  return { ...progress, erased: { ...erased, attachments: (erased.attachments ?? 0) + count } };
}

function plus(counts: ErasedCounts, kind: Counted["kind"], record: SessionRecord): ErasedCounts {
  switch (kind) {
    case "device":
      return { ...counts, devices: counts.devices + 1 };
    case "pointer":
    case "mark":
    case "staged":
    case "stream":
    case "share":
      return counts;
    case "code":
      return { ...counts, codes: counts.codes + 1 };
    case "outbox":
      return { ...counts, outbox: counts.outbox + 1 };
    case "session":
    case "fork":
      return {
        ...counts,
        sessions: counts.sessions + 1,
        forks: counts.forks + (isFork(kind, record) ? 1 : 0),
        archives: counts.archives + (record.archive === null ? 0 : 1),
        turns: counts.turns + countTurns(record),
        events: counts.events + headOf(record, "events"),
      };
  }
}

/** A fork has no parent any more after it took over its turns. */
function isFork(kind: "session" | "fork", { parent, inherited }: SessionRecord): boolean {
  return parent !== null || (kind === "fork" && inherited > 0);
}
