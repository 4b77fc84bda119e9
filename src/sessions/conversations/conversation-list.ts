/** Pages of conversations: the one that is shared by a link code, then pinned ones, then the others, each the newest first. */
import { isPinned, pinLabel, pinOf } from "../../domain/record/pin.ts";
import type { SessionRecord, SessionState } from "../../domain/record/record.ts";
import { defined } from "../../domain/values/defined.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import type { Page } from "../../domain/values/pages.ts";
import type { Core } from "../core/core.ts";
import { unreadableSession, type UnreadableSession } from "../session/unreadable-session.ts";
import { filterOfReach, isLive, reaches, type Reach } from "./reach.ts";

/** One of a user's or a device's conversations. */
export interface ConversationInfo {
  /** The id of its session. */
  readonly id: string;
  readonly title: string | null;
  readonly agent: string;
  readonly turns: number;
  readonly isPinned: boolean;
  readonly createdAt: Date;
  /** The last activity. Renaming and pinning are none. */
  readonly updatedAt: Date;
}

/** One page of conversations. It may be shorter than `limit`. */
export interface ConversationPage extends Page<ConversationInfo> {
  /** Conversations of the page whose record cannot be read; absent where there are none. */
  readonly unreadable?: readonly UnreadableSession[];
}

/** The part of the list, and the cursor of the store in it. */
interface Place {
  readonly part: "pinned" | "others";
  readonly after?: string;
}

/** The states of a conversation. */
export const conversationStates: readonly SessionState[] = ["active", "inactive"];
/** The most calls of the store for one page. */
const callsMax = 8;

/** @throws SessionError `argument_invalid` for a cursor of another form */
export async function conversationPage(
  core: Core,
  tenant: string,
  reach: Reach,
  { limit, after }: { readonly limit: number; readonly after: string | undefined },
): Promise<ConversationPage> {
  const { now } = await core.store.instances([]);
  const bytesMax = core.options.limits.pageBytesMax;
  const query = {
    order: "recent",
    tenant,
    states: conversationStates,
    now,
    bytesMax,
    ...filterOfReach(reach),
  } as const;
  const shared = after === undefined && reach.user === null ? reach.shared : undefined;
  const records: SessionRecord[] = shared === undefined ? [] : [shared];
  const unreadable: UnreadableSession[] = [];
  let place: Place | undefined = placeOf(after);
  for (let call = 0; place !== undefined && records.length < limit && call < callsMax; call++) {
    const { part }: Place = place;
    const labels = part === "pinned" ? { [pinLabel]: pinOf(reach.user) } : undefined;
    const wanted = limit - records.length;
    const page = await core.store.find({ ...query, limit: wanted, ...defined({ labels, after: place.after }) });
    // A pinned one is in the first part.
    const found = page.records.filter((record) => part === "pinned" || !isPinned(record));
    records.push(...found.filter((record) => reaches(reach, record)));
    unreadable.push(...page.unreadable.map(unreadableSession));
    place = page.next === undefined ? (part === "pinned" ? { part: "others" } : undefined) : { part, after: page.next };
    const isCut = page.next !== undefined && page.records.length + page.unreadable.length < wanted;
    if (isCut) break;
  }
  return defined({
    items: records.map(conversationInfo),
    next: place && textOf(place),
    unreadable: unreadable.length === 0 ? undefined : unreadable,
  });
}

export function conversationInfo(record: SessionRecord): ConversationInfo {
  const { id, title, agent, counters, createdAt, lastActivityAt } = record;
  return {
    id,
    title,
    agent,
    turns: counters.turns,
    isPinned: isPinned(record),
    createdAt: new Date(createdAt),
    updatedAt: new Date(lastActivityAt),
  };
}

/** The conversation of this id; undefined for one that the owner does not reach, or that is not live. */
export async function findConversation(
  core: Core,
  tenant: string,
  reach: Reach,
  id: string,
): Promise<SessionRecord | undefined> {
  const record = (await core.find({ tenant, id }))?.record;
  return record !== undefined && reaches(reach, record) && isLive(core, record) ? record : undefined;
}

/** @throws SessionError `argument_invalid` */
function placeOf(cursor: string | undefined): Place {
  if (cursor === undefined) return { part: "pinned" };
  const part = typeof cursor === "string" ? ({ p: "pinned", o: "others" } as const)[cursor.charAt(0)] : undefined;
  if (part === undefined) throw invalidArgument("after", cursor, { expected: "cursor" });
  return { part, ...(cursor.length > 1 && { after: cursor.slice(1) }) };
}

function textOf({ part, after = "" }: Place): string {
  return `${part.charAt(0)}${after}`;
}
