/** The header of a snapshot: the record of a session, checked field by field. */
import { parseBudget } from "../../domain/record/budget.ts";
import type { StoredHandoff } from "../../domain/record/handoff.ts";
import {
  noCounters,
  type Budget,
  type Counters,
  type LegalHold,
  type Metadata,
  type Waiting,
} from "../../domain/record/record.ts";
import { sessionStates } from "../../domain/record/states.ts";
import type { PortableRecord } from "../../domain/copies/snapshot.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { labelTextMax, parseLabels, parseStoredTitle, type Labels } from "../../domain/values/labels.ts";
import { countMax, counterMax, durationMaxMs, type Limits } from "../../domain/values/limits.ts";
import { defined } from "../../domain/values/defined.ts";
import { dataOf, guardBytes } from "./snapshot-data.ts";
import {
  fieldsOf,
  idOf,
  instantOf,
  judged,
  objectOf,
  spanOf,
  textOfAtMost,
  wholeOf,
  type Refuse,
} from "./snapshot-fields.ts";

const recordFields = [
  "id",
  "agent",
  "user",
  "state",
  "stateSince",
  "createdAt",
  "lastActivityAt",
  "ttlMs",
  "maxAgeMs",
  "maxAgeFrom",
  "floor",
  "openTurn",
  "counters",
  "metadata",
] as const satisfies readonly (keyof PortableRecord)[];

const optionalFields = [
  "waiting",
  "title",
  "labels",
  "budget",
  "inherited",
  "hold",
  "branch",
] as const satisfies readonly (keyof PortableRecord)[];

const branchFields = ["current", "made", "shared"] as const;

/** @throws what `refuse` throws */
function branchOf(value: unknown, refuse: Refuse): NonNullable<PortableRecord["branch"]> {
  const fields = fieldsOf(value, "session.branch", branchFields, refuse);
  const whole = (name: (typeof branchFields)[number], least: number, most: number): number =>
    wholeOf(fields[name], `session.branch.${name}`, { least, most, refuse });
  const made = whole("made", 1, countMax);
  return { current: whole("current", 1, made), made, shared: whole("shared", 0, countMax) };
}

/** @throws what `refuse` throws */
export function recordOf(value: unknown, limits: Limits, refuse: Refuse): PortableRecord {
  const given = objectOf(value, "session", refuse);
  const names = [...recordFields, ...optionalFields.filter((name) => Object.hasOwn(given, name))];
  const fields = fieldsOf(value, "session", names, refuse);
  const instant = (name: string): number => instantOf(fields[name], `session.${name}`, refuse);
  const duration = (name: string): number =>
    wholeOf(fields[name], `session.${name}`, { least: 1, most: durationMaxMs, refuse });
  const seq = (name: string): number => wholeOf(fields[name], `session.${name}`, { least: 1, most: countMax, refuse });
  const state = sessionStates.find((one) => one === fields["state"]);
  return {
    id: idOf(fields["id"], "session.id", refuse),
    agent: idOf(fields["agent"], "session.agent", refuse),
    user: fields["user"] === null ? null : idOf(fields["user"], "session.user", refuse),
    state:
      state ??
      refuse("session.state", { value: formatValue(fields["state"]), expected: "one_of", known: sessionStates }),
    stateSince: instant("stateSince"),
    createdAt: instant("createdAt"),
    lastActivityAt: instant("lastActivityAt"),
    ttlMs: duration("ttlMs"),
    maxAgeMs: fields["maxAgeMs"] === null ? null : duration("maxAgeMs"),
    maxAgeFrom: instant("maxAgeFrom"),
    floor: fields["floor"] === null ? null : floorOf(fields["floor"], limits, refuse),
    openTurn: fields["openTurn"] === null ? null : seq("openTurn"),
    counters: countersOf(fields["counters"], refuse),
    metadata: metadataOf(fields["metadata"], limits, refuse),
    ...defined({
      waiting: fields["waiting"] === undefined ? undefined : waitingOf(fields["waiting"], refuse),
      title: fields["title"] === undefined ? undefined : titleOf(fields["title"], refuse),
      labels: fields["labels"] === undefined ? undefined : labelsOf(fields["labels"], refuse),
      budget: fields["budget"] === undefined ? undefined : budgetOf(fields["budget"], refuse),
      inherited: fields["inherited"] === undefined ? undefined : seq("inherited"),
      hold: fields["hold"] === undefined ? undefined : holdOf(fields["hold"], limits, refuse),
      branch: fields["branch"] === undefined ? undefined : branchOf(fields["branch"], refuse),
    }),
  };
}

function floorOf(value: unknown, limits: Limits, refuse: Refuse): StoredHandoff {
  const path = "session.floor";
  const { agent, lockedAt, expiresAt, note } = fieldsOf(
    value,
    path,
    ["agent", "lockedAt", "expiresAt", "note"],
    refuse,
  );
  const lengthMax = limits.noteLengthMax;
  return {
    agent: idOf(agent, `${path}.agent`, refuse),
    lockedAt: instantOf(lockedAt, `${path}.lockedAt`, refuse),
    expiresAt: instantOf(expiresAt, `${path}.expiresAt`, refuse),
    note: note === null ? null : textOfAtMost(note, `${path}.note`, { lengthMax, refuse }),
  };
}

function waitingOf(value: unknown, refuse: Refuse): Waiting {
  const path = "session.waiting";
  const { token, reason, since, expiresAt } = fieldsOf(value, path, ["token", "reason", "since", "expiresAt"], refuse);
  return {
    token: idOf(token, `${path}.token`, refuse),
    reason: textOfAtMost(reason, `${path}.reason`, { lengthMax: labelTextMax, refuse }),
    since: instantOf(since, `${path}.since`, refuse),
    expiresAt: expiresAt === null ? null : instantOf(expiresAt, `${path}.expiresAt`, refuse),
  };
}

function budgetOf(value: unknown, refuse: Refuse): Budget {
  return judged("session.budget", refuse, () =>
    parseBudget(objectOf(value, "session.budget", refuse), "session.budget"),
  );
}

function titleOf(value: unknown, refuse: Refuse): string {
  const path = "session.title";
  const title = judged(path, refuse, () => parseStoredTitle(value as string | null, path));
  return title ?? refuse(path, { value: formatValue(title), expected: "text" });
}

function labelsOf(value: unknown, refuse: Refuse): Labels {
  const path = "session.labels";
  return judged(path, refuse, () => parseLabels(objectOf(value, path, refuse) as Labels, path));
}

function holdOf(value: unknown, limits: Limits, refuse: Refuse): LegalHold {
  const path = "session.hold";
  const { reason, at } = fieldsOf(value, path, ["reason", "at"], refuse);
  const lengthMax = limits.noteLengthMax;
  return {
    reason: textOfAtMost(reason, `${path}.reason`, { lengthMax, refuse }),
    at: instantOf(at, `${path}.at`, refuse),
  };
}

function countersOf(value: unknown, refuse: Refuse): Counters {
  const names = Object.keys(noCounters);
  const fields = fieldsOf(value, "session.counters", names, refuse);
  const counted = names.map((name) => {
    const path = `session.counters.${name}`;
    const bounds = { most: counterMax, refuse };
    const isSpan = name === "durationMs" || name === "longestMs";
    return [name, isSpan ? spanOf(fields[name], path, bounds) : wholeOf(fields[name], path, { least: 0, ...bounds })];
  });
  return Object.fromEntries(counted);
}

function metadataOf(value: unknown, limits: Limits, refuse: Refuse): Metadata {
  const path = "session.metadata";
  const { text, value: metadata } = dataOf(value, path, refuse);
  guardBytes(text, path, { bytesMax: limits.metadataBytesMax, refuse });
  return objectOf(metadata, path, refuse) as Metadata;
}
