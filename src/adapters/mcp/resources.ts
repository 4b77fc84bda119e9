/** Sessions as resources: a list by id, and each session with its last turns. */
import { defined } from "../../domain/values/defined.ts";
import { hasCode } from "../../errors.ts";
import type { SessionInfo, Sessions } from "../../index.ts";
import { toJson } from "../../protocol/json.ts";
import { sessionForm, turnsPage } from "./tools/shown.ts";

const prefix = "perdure://session/";
const mimeType = "application/json";
/** The official client reads at most 64 pages. */
const pageSize = 250;

export function resourceUri(id: string): string {
  return prefix + encodeURIComponent(id);
}

/** The template of all sessions. */
export const sessionTemplate: object = {
  name: "session",
  title: "Session",
  uriTemplate: `${prefix}{id}`,
  description: "A session with its last turns; the id is percent-encoded",
  mimeType,
};

/** A page of the sessions by id: a session that exists throughout is on one page, whatever changes meanwhile. */
export async function listResources(
  sessions: Sessions,
  cursor: string | undefined,
): Promise<{ readonly resources: readonly object[]; readonly nextCursor?: string }> {
  const page = await sessions.list(defined({ order: "id" as const, limit: pageSize, after: cursor }));
  return { resources: page.items.map(resourceOf), ...defined({ nextCursor: page.next }) };
}

function resourceOf({ id, title, agent, turn, lastActivityAt }: SessionInfo): object {
  return {
    uri: resourceUri(id),
    name: id,
    ...defined({ title: title ?? undefined }),
    description: `${turn} ${turn === 1 ? "turn" : "turns"} with ${agent}`,
    mimeType,
    annotations: { lastModified: lastActivityAt.toISOString() },
  };
}

/** The session with its last turns; undefined for a text that names none. */
export async function readResource(sessions: Sessions, uri: string): Promise<object | undefined> {
  const id = idIn(uri);
  if (id === undefined) return undefined;
  try {
    const session = await sessions.get(id);
    const { info } = session;
    const value = { session: sessionForm(info), metadata: info.metadata, ...(await turnsPage(session, {})) };
    return { contents: [{ uri, mimeType, text: toJson(value) }] };
  } catch (error) {
    if (hasCode(error, "session_not_found") || hasCode(error, "id_invalid")) return undefined;
    throw error;
  }
}

function idIn(uri: string): string | undefined {
  const encoded = /^perdure:\/\/session\/([^/?#]+)$/.exec(uri)?.[1];
  if (encoded === undefined) return undefined;
  try {
    return decodeURIComponent(encoded);
  } catch {
    // The text has a percent sign that encodes nothing.
    return undefined;
  }
}
