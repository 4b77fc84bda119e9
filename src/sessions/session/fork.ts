/** Forks a session from one of its turns. */
import { budgetLeft } from "../../domain/record/budget.ts";
import { headOf, namedLogs, type Change } from "../../domain/record/change.ts";
import { decode } from "../../domain/values/codec.ts";
import type { Entry } from "../../domain/record/entry.ts";
import { forkSession, lastFinished } from "../../domain/copies/fork.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import type { NewSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { summaryLogs } from "../../domain/record/summary-logs.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { SessionError } from "../../errors.ts";
import { shareAttachments } from "../attachments/put.ts";
import type { Core } from "../core/core.ts";
import { Handle } from "../handle/handle.ts";
import { messagesUpTo } from "../handle/kept-turns.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { sharedMarks } from "../marks/shared-marks.ts";
import { ForkedLogs } from "./forked-logs.ts";
import { guardNumber } from "../../domain/values/invalid-argument.ts";
import { agentId } from "./opening.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";

/** Options of a fork. */
export interface ForkOptions {
  /** The last turn that both sessions share; 0 shares none. @default the last finished one */
  readonly at?: number;
  /** The id of the new session. @default the agent's name and a sortable id */
  readonly as?: string;
}

const optionNames: OptionNames<ForkOptions> = { at: true, as: true };

/** @throws SessionError `range_invalid`, `turn_open`, `session_exists`, `session_not_found`, `contended`, `argument_invalid` */
export async function forkOn(handle: Handle, options: ForkOptions): Promise<Handle> {
  guardNames(options, "options", optionNames);
  const { at, as } = options;
  if (at !== undefined) guardNumber(at, "at", 0);
  const { core } = handle;
  core.guardOpen();
  const id = parseNewId(as ?? agentId(core, handle.record.agent), "sessionId");
  await using logs = new ForkedLogs(handle, { tenant: handle.key.tenant, id }, at);
  return await retryOnConflict(sessionIds(handle.record), async () => {
    const { record, instructions, named } = await logs.moment();
    const shared = at ?? lastFinished(record);
    const session = likeIt(record, id, instructions);
    const messages = await messagesUpTo(core, handle.record, shared);
    const changes = forkSession(record, { session, at: shared, messages, named }, core.context());
    const marks = await marksOf(core, record, changes);
    const created = changes.at(-1)?.record;
    if (created != null) await shareAttachments(core, record, created);
    const outcome = await core.commit([...changes, ...marks, ...named.beside]);
    const fork = outcome.status === "ok" ? outcome.changes[changes.length - 1]?.record : undefined;
    if (fork != null) {
      logs.taken();
      return new Handle(core, fork);
    }
    if (outcome.status === "conflict" && outcome.current?.id === id) {
      throw new SessionError("session_exists", { sessionId: id, tenant: record.tenant });
    }
    return undefined;
  });
}

/** The marks of former users and of devices whose words may be in the named logs and the summaries, which the fork holds as its own. */
async function marksOf(
  core: Core,
  record: SessionRecord,
  changes: readonly [...Change[], Change],
): Promise<readonly Change[]> {
  const fork = changes.at(-1)?.record;
  const isCopied =
    fork != null && (namedLogs(fork).some((log) => headOf(fork, log) > 0) || summaryLogs(fork).length > 0);
  return isCopied ? await sharedMarks(core, record, { as: fork }) : [];
}

/** A new session with the agent, user, title, labels, metadata, deadlines and instructions of this one, and the rest of its budget. */
function likeIt(record: SessionRecord, id: string, instructions: Entry | undefined): NewSession {
  const { tenant, agent, user, title, labels, metadata, ttlMs, maxAgeMs } = record;
  const text = instructions === undefined ? null : (decode(instructions.data) as string);
  return {
    key: { tenant, id },
    agent,
    user,
    title,
    labels,
    metadata,
    ttlMs,
    maxAgeMs,
    budget: budgetLeft(record),
    instructions: text,
  };
}
