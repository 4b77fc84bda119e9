/** The three scopes of a state: that of the session is a log of it, those of the user and of the app are documents. */
import { idFor, type Documents, type LogEntryInput, type ScopedDocumentWrite, type Value } from "../../index.ts";
import { keyOf, keyPart, prefixOf } from "../keys/composed-keys.ts";

/** The scope of the documents, and the log of the session's own state. */
export const documentScope = "adk";
export const stateLog = "adk-state";

/** The key of the entry that a created session begins with: no name of a state has it. */
export const createdKey = "~created";

/** One value of a state, as it is stored. The name is kept, since a key may have a hash of it. */
interface StoredValue {
  readonly name: string;
  readonly value?: Value;
}

/** The app and the user that a state belongs to. */
interface Owner {
  readonly appName: string;
  readonly userId: string;
}

const prefixes = { app: "app:", user: "user:", temp: "temp:" } as const;

/** The writes that make these the values of a state: in the session's log, and in documents of the app and of the user. */
export function stateWrites(
  owner: Owner,
  changed: Readonly<Record<string, unknown>>,
): { readonly entries: readonly LogEntryInput[]; readonly documents: readonly ScopedDocumentWrite[] } {
  const entries: LogEntryInput[] = [];
  const documents: ScopedDocumentWrite[] = [];
  for (const [key, given] of Object.entries(changed)) {
    if (key.startsWith(prefixes.temp)) continue;
    const scope = (["app", "user"] as const).find((one) => key.startsWith(prefixes[one]));
    const name = scope === undefined ? key : key.slice(prefixes[scope].length);
    const value: StoredValue = { name, value: given as Value };
    if (scope === undefined)
      entries.push({ key: keyPart(name) || "~", value: value as unknown as Value, ifPresent: "replace" });
    else
      documents.push({
        scope: documentScope,
        key: scope === "app" ? keyOf("app", owner.appName, name) : keyOf("user", owner.appName, owner.userId, name),
        value: value as unknown as Value,
        ...(scope === "user" ? { user: idFor(owner.userId) } : {}),
      });
  }
  return { entries, documents };
}

/** The state that a session sees: its own values, and those of its app and its user under their prefixes. */
export async function mergedState(
  documents: Documents,
  { appName, userId }: Owner,
  own: readonly { readonly key: string | null; readonly value: Value }[],
): Promise<Record<string, unknown>> {
  // Without a prototype, since the ADK asks for names by `in`.
  const state = Object.create(null) as Record<string, unknown>;
  const set = (prefix: string, stored: Value): void => {
    const { name, value } = stored as unknown as StoredValue;
    state[prefix + name] = value;
  };
  for (const { key, value } of own) if (key !== createdKey) set("", value);
  for await (const { value } of documents.each({ prefix: prefixOf("app", appName) })) set(prefixes.app, value);
  for await (const { value } of documents.each({ prefix: prefixOf("user", appName, userId) }))
    set(prefixes.user, value);
  return state;
}
