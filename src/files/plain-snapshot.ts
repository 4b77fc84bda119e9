/**
 * A session as the plain file `{session_id, state, saved_at}`: what was said, by which agent and user, for programs that
 * know no other format. It has no turns with their usage and keys, no events and no deadlines.
 */
import { jsonOf } from "../domain/turns/known-parts.ts";
import { parseMessages, type Message } from "../domain/turns/turn.ts";
import { defined } from "../domain/values/defined.ts";
import { formatValue } from "../domain/values/format-value.ts";
import { parseLabels, parseStoredTitle, type Labels } from "../domain/values/labels.ts";
import type { Metadata } from "../domain/record/record.ts";
import type { Portable } from "../domain/copies/snapshot.ts";
import type { Core } from "../sessions/core/core.ts";
import { checkJson, JsonError } from "../sessions/snapshots/located-json.ts";
import { levelsMax } from "../sessions/snapshots/snapshot-data.ts";
import {
  fieldsOf,
  idOf,
  judged,
  objectOf,
  refusalOf,
  textOfAtMost,
  type Refuse,
} from "../sessions/snapshots/snapshot-fields.ts";
import type { SessionSnapshot } from "../sessions/snapshots/snapshot-text.ts";
import { portableConversation } from "../sessions/transfer/conversation.ts";
import { messagesIn } from "./renderings.ts";

const stateFields = ["agent", "user", "title", "labels", "metadata", "created_at", "messages"] as const;
/** A file that begins like this is a plain one. */
const beginning = /^\s*\{\s*"(session_id|state|saved_at)"/;
const instant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/;

/** Whether a file with this text is a plain one. */
export function isPlain(text: string): boolean {
  return beginning.test(text);
}

/** The plain file of a snapshot. */
export function plainText(snapshot: SessionSnapshot, savedAt: number): string {
  const { id, agent, user, title = null, labels = {}, metadata, createdAt } = snapshot.session;
  const messages = messagesIn(snapshot).map(({ native: _, ...message }) => message);
  const state = { agent, user, title, labels, metadata, created_at: isoText(createdAt), messages };
  return `${jsonOf({ session_id: id, state, saved_at: isoText(savedAt) })}\n`;
}

/**
 * Reads a plain file as a new session: leading system messages are its instructions, a question with its answer is a turn.
 * @throws SessionError `snapshot_invalid` with the place
 */
export function readPlain(text: string, { source, core }: { readonly source: string; readonly core: Core }): Portable {
  const refuse = refusalOf(source);
  const fields = fieldsOf(parsed(text, refuse), "", ["session_id", "state", "saved_at"], refuse);
  const id = idOf(fields["session_id"], "session_id", refuse);
  instantIn(fields["saved_at"], "saved_at", refuse);
  const given = objectOf(fields["state"], "state", refuse);
  const present = stateFields.filter((name) => name === "messages" || Object.hasOwn(given, name));
  const state = fieldsOf(given, "state", present, refuse);
  const messages = messagesOf(state["messages"], refuse);
  const { agent, user = null, title = null, labels = {}, metadata = {}, created_at: createdAt } = state;
  const conversation = {
    id,
    messages,
    metadata: objectOf(metadata, "state.metadata", refuse) as Metadata,
    ...defined({
      agent: agent === undefined ? undefined : idOf(agent, "state.agent", refuse),
      user: user === null ? undefined : idOf(user, "state.user", refuse),
      createdAt: createdAt === undefined ? undefined : instantIn(createdAt, "state.created_at", refuse),
    }),
  };
  const named = judged("state", refuse, () => ({
    title: parseStoredTitle(title as string | null, "state.title"),
    labels: parseLabels(objectOf(labels, "state.labels", refuse) as Labels, "state.labels"),
  }));
  const { portable } = judged("state", refuse, () =>
    portableConversation(core, conversation, { id, agent: undefined, ttl: undefined }),
  );
  const own = defined({
    title: named.title ?? undefined,
    labels: Object.keys(named.labels).length === 0 ? undefined : named.labels,
  });
  return { ...portable, record: { ...portable.record, ...own } };
}

/** The instant at the end of a plain file, epoch ms; undefined if it has none there. */
export function savedAtIn(end: string): number | undefined {
  const [, text] = /"saved_at"\s*:\s*"([^"\\]{1,40})"\s*\}\s*$/.exec(end) ?? [];
  return text === undefined || !instant.test(text) ? undefined : Date.parse(text);
}

function messagesOf(value: unknown, refuse: Refuse): readonly Message[] {
  if (!Array.isArray(value)) return refuse("state.messages", { value: formatValue(value), expected: "array" });
  return judged("state.messages", refuse, () => parseMessages(value, "user", "state.messages"));
}

function parsed(text: string, refuse: Refuse): unknown {
  try {
    checkJson(text, { depthMax: levelsMax });
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    refuse({ line: error.place.line, column: error.place.column }, {}, error);
  }
  return JSON.parse(text) as unknown;
}

function instantIn(value: unknown, path: string, refuse: Refuse): number {
  const text = textOfAtMost(value, path, { lengthMax: 40, refuse });
  const ms = instant.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(ms) || ms < 0 ? refuse(path, { value: formatValue(value), expected: "instant" }) : ms;
}

function isoText(ms: number): string {
  return new Date(ms).toISOString();
}
