/** Lists and counts the sessions of a tenant. */
import { parseId } from "../../domain/values/ids.ts";
import { parseArray, parseInstant } from "../../domain/values/invalid-argument.ts";
import { parseLabelFilter, waitingFilter, type LabelFilter } from "../../domain/values/labels.ts";
import type { SessionState } from "../../domain/record/record.ts";
import { waitsAt } from "../../domain/turns/leases.ts";
import { sessionStates } from "../../domain/record/states.ts";
import { defined } from "../../domain/values/defined.ts";
import type { Page, PageQuery } from "../../domain/values/pages.ts";
import type { SessionFilter } from "../../store/store.ts";
import type { Core } from "../core/core.ts";
import { parseLimit, parseOneOf, parseWaitingReason } from "../options/arguments.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { infoOf, type SessionInfo } from "./session-info.ts";
import { unreadableSession, type UnreadableSession } from "./unreadable-session.ts";

/** Which sessions. */
export interface SessionSelection {
  readonly agent?: string;
  readonly user?: string;
  /** All of these labels, each with this value or, for `true`, with any. */
  readonly labels?: LabelFilter;
  /** Only sessions with a turn that waits to be resumed: for this reason or, for `true`, for any. */
  readonly waiting?: string | true;
  /** @default any */
  readonly state?: SessionState | readonly SessionState[];
  /** Last active at or after. */
  readonly activeSince?: Date;
  /** Last active before. */
  readonly activeBefore?: Date;
  /** Created at or after. */
  readonly createdSince?: Date;
  /** Created before. */
  readonly createdBefore?: Date;
}

export const selectionNames: OptionNames<SessionSelection> = {
  agent: true,
  user: true,
  labels: true,
  waiting: true,
  state: true,
  activeSince: true,
  activeBefore: true,
  createdSince: true,
  createdBefore: true,
};

/** The orders of a list, and those of the store. */
const orders = { recent: "recent", created: "created", id: "key" } as const;

/** The sessions to list, and the page of them. */
export interface ListQuery extends SessionSelection, PageQuery {
  /**
   * `recent`: the most recently active first; a session that becomes active meanwhile moves to the front.
   * `created`: the newest first, by the creation.
   * `id`: by id; a session that exists throughout is found once, whatever changes meanwhile.
   * @default "recent"
   */
  readonly order?: "recent" | "created" | "id";
}

const listNames: OptionNames<ListQuery> = { ...selectionNames, order: true, limit: true, after: true };

/** One page of sessions. It may end before `limit`, at `limits.pageBytesMax`. */
export interface SessionPage extends Page<SessionInfo> {
  /** Sessions of the page whose record cannot be read; absent where there are none. `removeSession` of `perdure/admin` removes them. */
  readonly unreadable?: readonly UnreadableSession[];
}

/** @throws SessionError `argument_invalid`, `id_invalid` */
export async function listOn(core: Core, tenant: string, query: ListQuery): Promise<SessionPage> {
  core.guardOpen();
  guardNames(query, "query", listNames);
  const { order = "recent", limit = 100, after, ...selection } = query;
  const { pageMax, pageBytesMax: bytesMax } = core.options.limits;
  const filter = await filterOf(core, selection);
  const page = await core.store.find({
    order: orders[parseOneOf(order, "order", Object.keys(orders) as (keyof typeof orders)[])],
    tenant,
    limit: parseLimit(limit, pageMax),
    bytesMax,
    ...filter,
    ...defined({ after }),
  });
  const unreadable = page.unreadable.map(unreadableSession);
  // A turn whose time is up is found until the next writer or the sweep has sealed it.
  const records =
    selection.waiting === undefined ? page.records : page.records.filter((record) => waitsAt(record, filter.now));
  return defined({
    items: records.map((record) => infoOf(record, filter.now)),
    next: page.next,
    unreadable: unreadable.length === 0 ? undefined : unreadable,
  });
}

/** @throws SessionError `argument_invalid`, `id_invalid` */
export async function countOn(core: Core, tenant: string, selection: SessionSelection): Promise<number> {
  core.guardOpen();
  return await core.store.count({ ...(await filterOf(core, selection)), tenant });
}

function parseStates(state: SessionState | readonly SessionState[]): readonly SessionState[] {
  const states = typeof state === "string" ? [state] : state;
  return Array.from(parseArray(states, "state"), (one) => parseOneOf(one, "state", sessionStates));
}

/** @throws SessionError `argument_invalid` */
function labelsOf(labels: LabelFilter = {}, waiting: string | true | undefined): LabelFilter {
  const filter = parseLabelFilter(labels);
  if (waiting === undefined) return filter;
  return { ...filter, ...waitingFilter(waiting === true ? waiting : parseWaitingReason(waiting, "waiting")) };
}

/** The filter of the store for a selection, judged at the time of the store. @throws SessionError `argument_invalid`, `id_invalid` */
export async function filterOf(core: Core, selection: SessionSelection): Promise<SessionFilter> {
  guardNames(selection, "query", selectionNames);
  const { agent, user, labels, waiting, state } = selection;
  const instant = (name: "activeSince" | "activeBefore" | "createdSince" | "createdBefore"): number | undefined => {
    const value = selection[name];
    return value === undefined ? undefined : parseInstant(value, name);
  };
  const { now } = await core.store.instances([]);
  return defined({
    now,
    agent: agent === undefined ? undefined : parseId(agent, "agent"),
    user: user === undefined ? undefined : parseId(user, "user"),
    labels: labels === undefined && waiting === undefined ? undefined : labelsOf(labels, waiting),
    states: state === undefined ? undefined : parseStates(state),
    activeSince: instant("activeSince"),
    activeBefore: instant("activeBefore"),
    createdSince: instant("createdSince"),
    createdBefore: instant("createdBefore"),
  });
}
