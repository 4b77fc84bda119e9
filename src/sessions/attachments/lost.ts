/** Events about attachments without which a model was asked. */
import { changeOf } from "../../domain/record/change.ts";
import { appendEvent, eventOf } from "../../domain/record/event.ts";
import type { WritableSession } from "../core/writable-session.ts";

/** The last events that are searched for the same loss: each question that shows the attachment meets it again. */
const searchedMax = 100;
/** One request may name so many lost attachments that its events would be a flood. */
const eventsMax = 20;

/** Append an event for each of these attachments, unless one of the last events is about it. */
export async function recordLost(view: WritableSession, hashes: ReadonlySet<string>): Promise<void> {
  const { tails } = await view.peek([{ log: "events", last: searchedMax }]);
  const known = new Set<string>();
  for (const entry of tails[0] ?? []) {
    const event = eventOf(entry);
    if (event.type === "attachment_lost") known.add(event.hash);
  }
  const lost = [...hashes].filter((hash) => !known.has(hash)).slice(0, eventsMax);
  if (lost.length === 0) return;
  await view.write((draft, context) => {
    for (const hash of lost) appendEvent(draft, { type: "attachment_lost", hash }, context);
    return changeOf(draft);
  });
}
