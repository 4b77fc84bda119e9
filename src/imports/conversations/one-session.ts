/**
 * Guards that loose messages of several conversations or users do not become one session. Programs name both in fields that
 * no list of names has in full, so each field that looks like such an id is compared.
 */
import { isFields } from "../../domain/turns/known-parts.ts";
import type { Value } from "../../domain/values/codec.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";
import { groupNameOf, groupOf, idIn, isGroupName, isUserName } from "./about.ts";

/** A message that would be in the session, as its document has it. */
export interface LooseMessage {
  readonly value: Value;
  readonly place: string;
  /** True for one that a user wrote: the ids of the authors of answers differ within a conversation. */
  readonly isAsked: boolean;
}

/**
 * Compares the ids of the questions. `isNamed` is true where the messages name their conversation: only the ids of users and of
 * their accounts are compared then.
 * @throws SessionError `message_invalid` with the field, for ids of several conversations or users
 */
export function guardOneSession(messages: readonly LooseMessage[], { isNamed }: { readonly isNamed: boolean }): void {
  if (messages.length < 2) return;
  const fields = new Map<string, IdField>();
  for (const message of messages)
    for (const { field, id } of idsIn(message.value)) {
      const one = fields.get(field) ?? { kind: kindOf(field), ids: new Map<string, IdUse>() };
      fields.set(field, one);
      if (one.kind === "other") continue;
      const use = one.ids.get(id);
      if (use === undefined) one.ids.set(id, { rows: 1, place: message.place, asked: message.isAsked });
      else one.ids.set(id, { ...use, rows: use.rows + 1, asked: use.asked || message.isAsked });
    }
  for (const [field, { kind, ids }] of fields) {
    if (isNamed && kind !== "user") continue;
    const [first, second] = [...ids].filter(([, { asked }]) => kind === "conversation" || asked);
    // Ids that nearly all differ are those of the messages themselves.
    const shared = [...ids.values()].filter(({ rows }) => rows > 1).length;
    if (first === undefined || second === undefined || (kind === "unknown" && shared * 2 < ids.size)) continue;
    throw severalIds({ place: second[1].place, field, id: second[0], other: first[0] });
  }
}

/** The error of messages that name several conversations, in an object that is one. */
export function severalConversations(messages: readonly LooseMessage[]): SessionError {
  const [first] = messages.flatMap(({ value }) => groupOf(value) ?? []);
  const other = messages.find(({ value }) => (groupOf(value) ?? first) !== first)!;
  const field = groupNameOf(other.value)!;
  return severalIds({ place: other.place, field, id: groupOf(other.value)!, other: first! });
}

function severalIds(found: {
  readonly place: string;
  readonly field: string;
  readonly id: string;
  readonly other: string;
}): SessionError {
  return new SessionError("message_invalid", {
    path: `${found.place} ${found.field}`,
    value: formatValue(found.id),
    expected: "one_session",
    known: [formatValue(found.other)],
  });
}

interface IdUse {
  readonly rows: number;
  /** The place of the first message with the id. */
  readonly place: string;
  /** True for an id of a question. */
  readonly asked: boolean;
}

interface IdField {
  readonly kind: IdKind;
  readonly ids: Map<string, IdUse>;
}

/** What an id is of: `other` is a message, an agent, or another thing of which one conversation has several. */
type IdKind = "conversation" | "user" | "other" | "unknown";

/** The fields with ids, also those in `metadata`. */
function* idsIn(value: Value, around = ""): Iterable<{ readonly field: string; readonly id: string }> {
  if (!isFields(value)) return;
  for (const [name, given] of Object.entries(value)) {
    if (name === "metadata" && around === "") yield* idsIn(given, "metadata.");
    const id = name === "metadata" ? undefined : idOfField(name, given);
    if (id !== undefined && id.length <= idLengthMax) yield { field: `${around}${name}`, id };
  }
}

/** A longer text is no id. */
const idLengthMax = 256;

const idEnd = /(?:(?:^|[_\-. ])(?:id|uid|uuid|guid|e?mail)|[a-z\d](?:I[dD]|U[iI][dD]|UUID|Uuid|G[uU][iI][dD]|Email))$/i;

function idOfField(name: string, given: Value): string | undefined {
  if (typeof given === "boolean") return isGroupName(name) && hasIdEnd(name) ? String(given) : undefined;
  if (isFields(given)) return idIn(given, objectIdNames);
  const isMail = typeof given === "string" && given.length <= idLengthMax && /^[^\s@]+@[^\s@]+$/.test(given);
  const isId = hasIdEnd(name) || isMail || isGroupName(name) || isUserName(name);
  return isId ? idIn(given) : undefined;
}

function hasIdEnd(name: string): boolean {
  return idEnd.test(name);
}

const objectIdNames = ["id", "uuid", "_id", "userid", "email"] as const;

function kindOf(field: string): IdKind {
  const name = field.slice(field.lastIndexOf(".") + 1);
  if (isGroupName(name)) return "conversation";
  // The last word says what it is: `user_message_id` is that of a message, `message_author_id` that of a user.
  const word = wordsOf(name).findLast((one) => userWords.has(one) || otherWords.has(one));
  return word === undefined ? "unknown" : userWords.has(word) ? "user" : "other";
}

/** `senderId` and `sender_id` are `sender`, `id`. */
function wordsOf(name: string): readonly string[] {
  return name
    .replaceAll(/([a-z\d])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z\d]+/)
    .map((word) => word.replace(/(?<=.{3})(?:id|email)$/, ""));
}

/** Words in the names of users, and of the accounts that they belong to. */
const userWords = new Set(
  `user username customer author sender from owner member person contact visitor guest participant subscriber
  patient student employee account tenant org organization organisation workspace company email mail`.split(/\s+/),
);

/** Words in the names of things of which one conversation has several. */
const otherWords = new Set(
  `message msg parent reply prev previous next run request req response resp model tool call trace span event turn step
  generation checkpoint invocation completion agent assistant bot item row exchange prompt interaction correlation branch
  node file attachment image document doc chunk feedback rating job task status type language lang category intent topic
  version template operation log record line entry sequence index block part content data kwargs deployment provider cache
  fingerprint question answer query source citation annotation action command function plugin skill experiment variant
  edit revision quote target recipient receiver to device ip browser platform connection socket page tab visit window
  login auth usage lc mention search result cc bcc text value round utterance iteration`.split(/\s+/),
);
