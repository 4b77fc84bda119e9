/** The title and the pin that the owner of a session sets, which is no activity. The pin is a label that names its user. */
import { encode } from "../values/codec.ts";
import { patchLabels, type Labels } from "../values/labels.ts";
import { changeOf, headOf, set, splice, type Change, type Draft } from "./change.ts";
import { titlesLog } from "./entry.ts";
import type { Context } from "./guards.ts";
import type { SessionRecord } from "./record.ts";
import { nextState } from "./states.ts";

/** The label of a pinned session. Its value is the user of the session, or empty: a list reads the pins of one user alone. */
export const pinLabel = "perdure.pinned";

/** The value of the pin that a session of this user has. */
export function pinOf(user: string | null): string {
  return user ?? "";
}

/** True for a session that its present owner has pinned. */
export function isPinned({ labels, user }: Pick<SessionRecord, "labels" | "user">): boolean {
  return Object.hasOwn(labels, pinLabel) && labels[pinLabel] === pinOf(user);
}

/** The labels after a claim: a pin of the guest is one of the user. */
export function claimedLabels(record: SessionRecord, user: string): Labels {
  return isPinned(record) ? patchLabels(record.labels, { [pinLabel]: pinOf(user) }) : record.labels;
}

/** The labels of a session that gets another user: a pin names the user that set it. */
export function withoutPin(labels: Labels): Labels {
  return Object.hasOwn(labels, pinLabel) ? patchLabels(labels, { [pinLabel]: null }) : labels;
}

/** Set the title; null removes it. @throws SessionError that of the session's state */
export function renameSession(draft: Draft, title: string | null, { now }: Context): Change | null {
  const { record } = draft;
  nextState(record, "use", now);
  if (record.title === title) return null;
  set(draft, { title });
  if (title === null) keepUntitled(draft, now);
  return changeOf(draft);
}

/** The attempts of models at the title of a session. */
export const titleAttemptsMax = 2;

/** Leave models no attempt at the title of a session whose title was removed, in the draft. */
export function keepUntitled(draft: Draft, now: number): void {
  const first = headOf(draft.record, titlesLog) + 1;
  // One more closes the log.
  const count = titleAttemptsMax + 1 - first + 1;
  if (count <= 0) return;
  const entries = Array.from({ length: count }, (_, index) => first + index);
  splice(
    draft,
    titlesLog,
    first,
    entries.map((seq) => ({ seq, key: null, at: now, data: encode({}) })),
  );
}

/** Pin the session, or remove its pin. @throws SessionError `argument_invalid` for too many labels, that of the session's state */
export function pinSession(draft: Draft, pinned: boolean, { now }: Context): Change | null {
  const { record } = draft;
  nextState(record, "use", now);
  if (isPinned(record) === pinned) return null;
  set(draft, { labels: patchLabels(record.labels, { [pinLabel]: pinned ? pinOf(record.user) : null }) });
  return changeOf(draft);
}
