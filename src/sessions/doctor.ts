import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { headOf, isSame } from "../domain/record/change.ts";
import type { StoredDocument } from "../domain/documents/document.ts";
import { truncatedUsageLog, type SessionKey } from "../domain/record/entry.ts";
import { decode } from "../domain/values/codec.ts";
import {
  repairSession,
  SessionCheck,
  type Repair,
  type SessionProblem,
  type ProblemKind,
} from "../domain/copies/session-check.ts";
import { handoffAt } from "../domain/record/handoff.ts";
import { storedInstructions } from "../domain/record/lifecycle.ts";
import type { SessionRecord } from "../domain/record/record.ts";
import { stateAt } from "../domain/record/states.ts";
import { replacedLog } from "../domain/turns/replaced-turns.ts";
import { isKnown } from "../domain/turns/agent-choice.ts";
import { defined } from "../domain/values/defined.ts";
import { formatValue } from "../domain/values/format-value.ts";
import { isContentScope, isObjectScope, isReferenceScope } from "../domain/attachments/attachment.ts";
import { isStaged } from "../domain/copies/staged.ts";
import { internalScope, isInternalScope, tenantOfScope } from "../domain/values/internal-scope.ts";
import { eachPage } from "../domain/values/pages.ts";
import { hasCode, SessionError } from "../errors.ts";
import { counted } from "../errors/counted.ts";
import { interruptions } from "../errors/answer-problems.ts";
import { diskSpaceOf, isLow, type DiskSpace } from "../store/calls/disk-space.ts";
import { keyOf } from "./core/record-pages.ts";
import type { FoundRecords, StoreProblem } from "../store/store.ts";
import { attachmentStoreProblem, objectOf } from "./attachments/objects.ts";
import { orphanedObjects } from "./attachments/orphans.ts";
import { attachmentProblems, inlineDataOf, mayHaveInlineData, type InlineData } from "./attachments/problems.ts";
import type { Core } from "./core/core.ts";
import { secretId } from "./core/keyed-hash.ts";
import { isDevicesScope, pointerOf, secretOfPointer } from "./devices/device-pointer.ts";
import { isLinkCode } from "./devices/link-code.ts";
import { storedSecret, type SecretState } from "./devices/secret-check.ts";
import { Handle } from "./handle/handle.ts";
import { documentPages } from "./transfer/copied-documents.ts";
import { endsPass, messageOfFailure } from "./core/pass-failures.ts";
import { readLog } from "./core/log-reader.ts";

/** Options of a check. */
export interface DoctorRequest {
  /** Repair what can be repaired without deleting anything. @default false */
  readonly repair?: boolean;
  /** Called with each finding. */
  readonly onFinding?: (finding: Finding) => void;
  readonly signal?: AbortSignal;
}

const requestNames: OptionNames<DoctorRequest> = { repair: true, onFinding: true, signal: true };

/** A problem of a store or of one of its sessions. */
export interface Finding {
  readonly kind: ProblemKind | "attachment" | "lease" | "agent" | "unlisted" | "disk" | StoreProblem["kind"];
  /** Null: it is not about one session. */
  readonly tenant: string | null;
  readonly session: string | null;
  readonly what: string;
  /** The repair; null: the doctor has none. */
  readonly fix: string | null;
  readonly repaired: boolean;
}

/** The result of a check. */
export interface DoctorReport {
  /** Sessions looked at. */
  readonly sessions: number;
  readonly findings: number;
  readonly repaired: number;
  /** Sessions that changed at each attempt to examine them: another process writes to them. */
  readonly skipped: number;
  /** False where the signal stopped it, or not all sessions could be listed or read. */
  readonly complete: boolean;
  /**
   * Live sessions that store other instructions than their agent has now: an earlier prompt, or one of their own. 0 without
   * configured agents.
   */
  readonly otherInstructions: number;
  /** Devices and users that are known under an earlier secret only: `previousSecrets` must have it. */
  readonly underEarlierSecrets: number;
  /**
   * Data of more than 64 KiB inside messages and named logs, archives excluded. With `attachments: { inlineBytesMax }` the store has
   * such data of new messages beside them, the same bytes once.
   */
  readonly inlineData: InlineData;
  /** The space for the files of the store; null: not known, as for PostgreSQL; absent for a store in memory. */
  readonly disk?: DiskSpace | null;
  /** The error of the schema that keeps every session from being read; null: sessions can be read. */
  readonly unreadable: string | null;
}

const pageSize = 100;
/** A turn may be 8 MiB: a page of them must still fit into memory. */
const entriesAtOnce = 50;
const looksMax = 5;

/** Checks the sessions of all tenants, a page at a time. It writes only with `repair`, and deletes nothing. */
export async function examineStore(core: Core, request: DoctorRequest): Promise<DoctorReport> {
  guardNames(request, "request", requestNames);
  const disk = await diskSpaceOf(core.store.capabilities);
  const report = {
    ...defined({ disk }),
    sessions: 0,
    findings: 0,
    repaired: 0,
    skipped: 0,
    complete: true,
    otherInstructions: 0,
    underEarlierSecrets: 0,
    inlineData: { count: 0, bytes: 0 },
    unreadable: null,
  };
  const found = (finding: Finding): void => {
    report.findings++;
    if (finding.repaired) report.repaired++;
    request.onFinding?.(finding);
  };
  if (disk && isLow(disk)) found(lowFinding(disk));
  const problems = await core.store.inspect({ repair: request.repair === true });
  for (const problem of problems) found({ ...problem, tenant: null, session: null });
  if (problems.some(({ kind, repaired }) => kind === "schema" && !repaired)) {
    const unreadable = await whyUnreadable(core);
    if (unreadable !== null) return { ...report, complete: false, unreadable };
  }
  const secret = await readSecret(core);
  const problem = await attachmentStoreProblem(core);
  const tenants = new Set<string>(); // those with attachments
  let unchecked = 0; // attachments whose bytes this process cannot read
  for await (const page of allSessions(core, found, report)) {
    for (const error of page.unreadable) found(unreadableFinding(error));
    for (const record of page.records) {
      // What is staged becomes whole when a session takes it over, and so does an object when a content does.
      if (isContentScope(record.tenant) || isObjectScope(record.tenant)) tenants.add(tenantOfScope(record.tenant));
      if (isStaged(record) || isObjectScope(record.tenant)) continue;
      if (request.signal?.aborted === true) return { ...report, complete: false };
      const isObject = isContentScope(record.tenant) && objectOf(record) !== undefined;
      if (isObject && problem !== undefined) {
        unchecked++;
        continue;
      }
      // Internal records are checked too, but they do not count as sessions.
      if (!isInternalScope(record.tenant)) report.sessions++;
      if (isUnderEarlierSecret(core, record, secret)) report.underEarlierSecrets++;
      // The bytes of an object are no entries, which a repair could count again.
      const looked = { hasInlineData: false };
      const findings = isObject ? [] : await examineOrSay(core, record, { repairs: request.repair === true, looked });
      if (looked.hasInlineData && !isInternalScope(record.tenant)) {
        const { count, bytes } = await inlineDataOf(core, record);
        report.inlineData.count += count;
        report.inlineData.bytes += bytes;
      }
      if (findings === undefined) report.skipped++;
      else findings.forEach(found);
      for (const what of await attachmentProblems(core, record))
        found({ ...place(record), kind: "attachment", what, fix: null, repaired: false });
      unknownAgents(core, record).forEach(found);
      if (await hasOtherInstructions(core, record)) report.otherInstructions++;
    }
  }
  if (problem === undefined)
    for await (const { tenant, what } of orphanedObjects(core, tenants)) {
      if (request.signal?.aborted === true) return { ...report, complete: false };
      found({ tenant, session: null, kind: "attachment", what, fix: null, repaired: false });
    }
  else if (unchecked > 0 || core.options.attachmentStore !== undefined) found(uncheckedFinding(unchecked, problem));
  for await (const page of documentPages(core)) {
    if (request.signal?.aborted === true) return { ...report, complete: false };
    page.flatMap(damagedDocument).forEach(found);
  }
  return report;
}

function uncheckedFinding(attachments: number, problem: string): Finding {
  const what = `the bytes of ${counted(attachments, "attachment")} were not read: ${problem}`;
  return { kind: "attachment", tenant: null, session: null, what, fix: null, repaired: false };
}

/** The tenant and the session of a finding about an attachment. */
function place({ tenant, user }: SessionRecord): Pick<Finding, "tenant" | "session"> {
  return { tenant: tenantOfScope(tenant), session: isReferenceScope(tenant) ? user : null };
}

function damagedDocument({ tenant, scope, key, data }: StoredDocument): Finding[] {
  try {
    decode(data);
    return [];
  } catch {
    const what = `document ${key} of scope ${scope} cannot be read`;
    return [{ kind: "damage", tenant, session: null, what, fix: null, repaired: false }];
  }
}

function lowFinding({ freeBytes, totalBytes }: DiskSpace): Finding {
  const [free, total] = [freeBytes, totalBytes].map((bytes) => Math.floor(bytes / 2 ** 20));
  const what = `its disk has ${free} of ${total} MiB free; writes fail on a full disk: free space, or move the store`;
  return { kind: "disk", tenant: null, session: null, what, fix: null, repaired: false };
}

/** Undefined if the record of the check value is damaged, which is a finding of its own. */
async function readSecret(core: Core): Promise<SecretState | undefined> {
  try {
    return await storedSecret(core);
  } catch (error) {
    if (hasCode(error, "session_unreadable")) return undefined;
    throw error;
  }
}

function isUnderEarlierSecret(core: Core, record: SessionRecord, secret: SecretState | undefined): boolean {
  if (secret?.check === undefined || !secret.rotated) return false;
  if (!isDevicesScope(record.tenant) || pointerOf(core, record) === undefined || isLinkCode(record)) return false;
  return (secretOfPointer(record) ?? secret.first) !== secretId(secret.check);
}

/**
 * The error that keeps the store from serving any session, such as a missing function; reported once instead of for each
 * session. The reads ask for sessions that do not exist, so that no state of a session matters; a store may load one session
 * and several in different ways.
 */
async function whyUnreadable({ store }: Core): Promise<string | null> {
  const absent = { tenant: internalScope("", "doctor"), id: "nothing" };
  try {
    const request = { key: absent, tails: [{ log: "turns", last: 1 }] };
    await store.load([request]);
    await store.load([request, { ...request, key: { ...absent, id: "nothing else" } }]);
    await store.read(absent, { log: "turns", from: 1, to: 1, order: "ascending", limit: 1 });
    await store.instances([absent.id]);
    return null;
  } catch (error) {
    if (!hasCode(error, "store_invalid")) throw error;
    return error.message;
  }
}

/** Every session of the store. */
async function* allSessions(
  core: Core,
  found: (finding: Finding) => void,
  report: { complete: boolean },
): AsyncGenerator<FoundRecords, void, undefined> {
  try {
    yield* eachPage((after) => core.store.find({ order: "key", now: core.now(), limit: pageSize, ...after }));
  } catch (error) {
    if (error instanceof SessionError && error.code !== "store_invalid") throw error;
    report.complete = false;
    const reason = error instanceof Error ? error.message : String(error);
    const what = `the rest of the sessions cannot be listed: ${reason}`;
    found({ kind: "unlisted", tenant: null, session: null, what, fix: null, repaired: false });
  }
}

/** The agents of a live session that this process does not know; none if no agents are configured. */
function unknownAgents(core: Core, record: SessionRecord): readonly Finding[] {
  const { tenant, id: session, agent } = record;
  const { agents } = core.options;
  if (!isLive(core, record)) return [];
  const chosen = core.chooseAgent(record, {}).agent;
  const answering = isKnown(chosen, agents) ? `${formatValue(chosen)} answers in its place` : "its questions fail";
  const finding = (what: string): Finding => ({ kind: "agent", tenant, session, what, fix: null, repaired: false });
  const active = handoffAt(record, core.now())?.agent;
  return [
    ...(isKnown(agent, agents)
      ? []
      : [finding(`its agent ${formatValue(agent)} is unknown: ${answering}; update({ agent }) sets another one`)]),
    ...(active === undefined || isKnown(active, agents)
      ? []
      : [
          finding(
            `its active agent ${formatValue(active)} is unknown: ${answering}; handOff() or endHandoff() replaces it`,
          ),
        ]),
  ];
}

/** True for a live session that stores other instructions than its agent has. Damaged ones are a finding of their own. */
async function hasOtherInstructions(core: Core, record: SessionRecord): Promise<boolean> {
  const agent = core.options.agents?.get(record.agent);
  if (agent === undefined || !isLive(core, record) || headOf(record, "instructions") === 0) return false;
  try {
    const found = await core.load({ tenant: record.tenant, id: record.id }, [{ log: "instructions", last: 1 }]);
    const stored = storedInstructions(found.tails[0]?.[0]) ?? "";
    return stored !== (agent.instructions ?? "");
  } catch (error) {
    if (endsPass(error)) throw error;
    return false;
  }
}

function isLive(core: Core, record: SessionRecord): boolean {
  const state = stateAt(record, core.now());
  return !isInternalScope(record.tenant) && (state === "active" || state === "inactive");
}

function unreadableFinding(error: SessionError<"session_unreadable">): Finding {
  const { tenant, id: session } = keyOf(error);
  const what = `its record cannot be read: ${error.details.field} is damaged; "perdure sessions remove" removes it`;
  return { kind: "unreadable", tenant, session, what, fix: null, repaired: false };
}

/** As {@link examine}, but an error of the store about this session is a finding, so that the check goes to the next one. */
async function examineOrSay(core: Core, key: SessionKey, how: Examination): ReturnType<typeof examine> {
  try {
    return await examine(core, key, how);
  } catch (error) {
    if (endsPass(error)) throw error;
    const { tenant, id: session } = key;
    const what = messageOfFailure(error);
    return [{ kind: "unreadable", tenant, session, what, fix: null, repaired: false }];
  }
}

interface Examination {
  readonly repairs: boolean;
  /** What the examination notes beside its findings. */
  readonly looked: Looked;
}

interface Looked {
  hasInlineData: boolean;
}

/** The problems of one session, repaired if allowed; undefined if the session changed during each attempt. */
async function examine(core: Core, key: SessionKey, how: Examination): Promise<readonly Finding[] | undefined> {
  const { repairs, looked } = how;
  for (let look = 0; look < looksMax; look++) {
    const record = (await core.find(key))?.record;
    if (record === undefined) return [];
    const { problems, repair, putBack } = await examineLogs(core, record, looked);
    const { lease, openTurn, waiting } = record;
    const leftOpen = lease === null && openTurn !== null && waiting === null && repair?.openTurn === undefined;
    const dangling = leftOpen || (lease !== null && !(await core.instance.isAlive(record, lease)));
    const again = (await core.find(key))?.record;
    if (again === undefined || !isSame(again, record)) continue;
    if (problems.length === 0 && !dangling) return [];
    const isFree = lease === null || dangling;
    if (repairs && isFree && putBack !== undefined) {
      if ((await core.commit([putBack])).status !== "ok") continue;
      const { tenant, id: session } = record;
      const done = problems.filter(({ kind }) => kind === "replaced");
      const rest = await examine(core, key, how);
      return rest && [...done.map((problem): Finding => ({ ...problem, tenant, session, repaired: true })), ...rest];
    }
    return await repairFindings(core, record, { problems, repair, dangling, repairs: repairs && isFree });
  }
  return undefined;
}

async function examineLogs(
  core: Core,
  record: SessionRecord,
  looked: Looked,
): Promise<ReturnType<SessionCheck["result"]>> {
  const check = new SessionCheck(record);
  for (const log of check.logs) {
    try {
      for (let from = 1; ;) {
        // The last entries of this log are the usage of archived turns: the archive holds these turns too.
        const to = log === truncatedUsageLog && record.archive !== null ? headOf(record, log) : Number.MAX_SAFE_INTEGER;
        const range = { log, from, to, order: "ascending", limit: entriesAtOnce } as const;
        const page = await readLog(core, record, range);
        for (const entry of page) {
          check.add(log, entry);
          looked.hasInlineData ||= mayHaveInlineData(log, entry.data);
        }
        if (page.length < entriesAtOnce) break;
        from = (page.at(-1)?.seq ?? from) + 1;
      }
    } catch (error) {
      // A store that finds missing entries itself throws instead of returning the others.
      if (!hasCode(error, "store_invalid")) throw error;
      check.miss(log, error.message);
    }
  }
  return check.result();
}

interface Verdict {
  readonly problems: readonly SessionProblem[];
  readonly repair: Repair | null;
  /** A dead instance holds the session, or left a turn open. */
  readonly dangling: boolean;
  readonly repairs: boolean;
}

async function repairFindings(
  core: Core,
  record: SessionRecord,
  { problems, repair, dangling, repairs }: Verdict,
): Promise<readonly Finding[]> {
  const { tenant, id: session } = record;
  const isRepaired = repairs && repair !== null && (await core.commit([repairSession(record, repair)])).status === "ok";
  const findings = problems.map((problem): Finding => ({
    ...problem,
    tenant,
    session,
    repaired: isRepaired && problem.fix !== null,
  }));
  // The open turn that the record did not know has no holder either.
  if (isRepaired && typeof repair.openTurn === "number" && record.lease === null) await clearLease(core, record);
  if (!dangling) return findings;
  const { lease, openTurn } = record;
  const isOpen = openTurn !== null && record.waiting === null;
  const end = isOpen ? turnEnd(record, openTurn) : "";
  const finding =
    lease === null
      ? ({ kind: "open_turn", what: `turn ${openTurn} is open, and no instance holds the session`, fix: end } as const)
      : ({
          kind: "lease",
          what: `instance ${lease.instance}, which is no longer alive, holds its lease${isOpen ? " and left a turn open" : ""}`,
          fix: `the lease is cleared${isOpen ? `, ${end}` : ""}`,
        } as const);
  return [...findings, { ...finding, tenant, session, repaired: repairs && (await clearLease(core, record)) }];
}

/** A text about the end of the open turn by the recovery. */
function turnEnd(record: SessionRecord, openTurn: number): string {
  const replaced = headOf(record, replacedLog) - 1;
  if (replaced < 1) return `turn ${openTurn} is sealed with what had arrived`;
  return `turn ${openTurn} is sealed with what had arrived; if nothing had, ${counted(replaced, "turn")} that it replaced ${replaced === 1 ? "is" : "are"} put back`;
}

/** True if the lease was cleared. Where a broken log keeps the turn from being sealed, both stay. */
async function clearLease(core: Core, { tenant, id }: SessionRecord): Promise<boolean> {
  const record = (await core.find({ tenant, id }))?.record;
  if (record === undefined) return false;
  try {
    const written = await new Handle(core, record).recoverAbandoned({
      recovers: "dead",
      reason: interruptions.writer_gone,
    });
    return written.status === "ok";
  } catch (error) {
    if (endsPass(error)) throw error;
    return false;
  }
}
