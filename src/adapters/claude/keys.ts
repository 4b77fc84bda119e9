/** Ids of sessions and keys of log entries for the keys of the Claude Agent SDK, which may be any texts. */
import { invalidText } from "../../domain/values/invalid-argument.ts";
import { guardObject } from "../../domain/values/option-names.ts";
import { idFor } from "../../index.ts";
import { nodeCrypto } from "../../node-crypto.ts";

/** The address of a transcript, as the SDK gives it. */
export interface ClaudeSessionKey {
  /** The scope of the session: by default the folder of the project, as the SDK writes it. */
  readonly projectKey: string;
  readonly sessionId: string;
  /** The path of the transcript of a subagent; absent: the main transcript. */
  readonly subpath?: string;
}

/** The longest parts of an id, in characters; a longer text has a hash in its place. All parts together fit an id. */
const [projectMax, sessionMax, subpathMax, uuidMax] = [180, 60, 150, 80];

/** The label that the sessions of a project share. */
export const projectLabel = "claude-project";

/** The value of the label {@link projectLabel}. @throws SessionError `argument_invalid` */
export function projectOf(projectKey: string): string {
  return part(projectKey, "projectKey", { separator: "/", max: projectMax });
}

/** The id of the session of a transcript, its subagents included. @throws SessionError `argument_invalid` */
export function sessionIdOf(key: ClaudeSessionKey): string {
  guardObject(key, "key");
  const { projectKey, sessionId } = key;
  return `claude/${projectOf(projectKey)}/${part(sessionId, "sessionId", { separator: "/", max: sessionMax })}`;
}

/** The beginning of the keys of a subagent's entries, and of no others. @throws SessionError `argument_invalid` */
export function prefixOf(subpath: string): string {
  return `${part(subpath, "subpath", { separator: "|", max: subpathMax })}|`;
}

/** The first key behind all keys with this prefix. */
export function behind(prefix: string): string {
  return `${prefix.slice(0, -1)}}`;
}

/** The end of the key of an entry with this uuid. */
export function uuidKey(uuid: string): string {
  return `u${part(uuid, "uuid", { separator: "", max: uuidMax })}`;
}

/** The text, its separators escaped; a hash of one that is too long or no id. Different texts have different parts. */
function part(
  text: string,
  name: string,
  { separator, max }: { readonly separator: string; readonly max: number },
): string {
  if (typeof text !== "string" || text === "") throw invalidText(name, text, { min: 1 });
  const escaped = separator === "" ? text : text.replaceAll("%", "%25").replaceAll(separator, escapeOf(separator));
  const id = idFor(escaped);
  if (id.length <= max) return id;
  return `sha256-${nodeCrypto().createHash("sha256").update(JSON.stringify(escaped)).digest("base64url")}`;
}

function escapeOf(character: string): string {
  return `%${character.charCodeAt(0).toString(16)}`;
}
