/** Writes to several sessions in one commit. */
import type { Change } from "../../domain/record/change.ts";
import { keyText, type Entry, type SessionKey } from "../../domain/record/entry.ts";
import { parseId } from "../../domain/values/ids.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { withoutForks } from "../handle/detach-forks.ts";
import { Handle } from "../handle/handle.ts";
import { writesTo } from "../handle/session-writes.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { parseWrite, type SessionWrite, type WriteOutcome, type WriteResult } from "./session-write.ts";
import type { DocumentBatch } from "../documents/document-batch.ts";
import type { ScopedDocumentWrite } from "../documents/document-write.ts";
import { attemptOf, documentsOf, type WriteAttempt } from "./write.ts";

/** A write, and the session that it is for. */
export interface WriteTo extends SessionWrite {
  readonly id: string;
}

/** The outcome of writes to several sessions. */
export type WritesOutcome =
  | {
      readonly status: "ok";
      /** In the order of the writes. */
      readonly writes: readonly WriteResult[];
    }
  /** A key is in its log already; nothing was written to any session. */
  | (Extract<WriteOutcome, { readonly status: "duplicate" }> & { readonly id: string });

/** Sessions of one write. */
const sessionsMax = 100;
const attemptsMax = 100;

interface OneWrite {
  readonly id: string;
  readonly handle: Handle;
  readonly attempt: WriteAttempt;
}

/** @throws SessionError as `Sessions.write` */
export async function writeManyOn(core: Core, tenant: string, writes: readonly WriteTo[]): Promise<WritesOutcome> {
  core.guardOpen();
  core.guardStore();
  if (!Array.isArray(writes)) throw invalidArgument("writes", writes, { expected: "array" });
  const many = writes as readonly WriteTo[];
  if (many.length === 0) throw invalidArgument("writes", many, { expected: "entries" });
  if (many.length > sessionsMax)
    throw new SessionError("argument_invalid", {
      name: "writes",
      length: many.length,
      expected: "list",
      max: sessionsMax,
    });
  const parsed = Array.from(many, (writeTo, index) => {
    if (typeof writeTo !== "object" || writeTo === null)
      throw invalidArgument(`writes[${index}]`, writeTo, { expected: "object" });
    const { id, ...write } = writeTo;
    return { id: parseId(id, "sessionId"), write: parseWrite(core, id, write), documents: documentWrites(write) };
  });
  const ids = parsed.map(({ id }) => id);
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice !== undefined) throw invalidArgument("writes", twice, { expected: "unique" });
  const documents = documentsOf(
    core,
    tenant,
    parsed.flatMap((write) => write.documents),
  );
  return await core.take(async () => {
    const keys = ids.map((id): SessionKey => ({ tenant, id }));
    const records = await core.findAll(keys);
    const all: OneWrite[] = [];
    for (const [index, { id, write }] of parsed.entries()) {
      const record = records[index];
      if (record === undefined) throw new SessionError("session_not_found", { sessionId: id, tenant });
      const handle = new Handle(core, record);
      all.push({ id, handle, attempt: await attemptOf(handle, write) });
    }
    const retry = { sessionId: ids.join(", "), tenant, attemptsMax };
    const outcome = await inTurnOfAll(
      all.map(({ handle }) => handle),
      () => retryOnConflict(retry, (round) => writeAll(core, { all, documents }, round)),
    );
    if (outcome.status !== "ok" || documents === undefined) return outcome;
    const versions = [...documents.versions()];
    const writes = outcome.writes.map((result, index): WriteResult => {
      const own = versions.splice(0, parsed[index]?.documents.length ?? 0);
      return own.length === 0 ? result : { ...result, documents: own };
    });
    return { ...outcome, writes };
  });
}

/** @throws SessionError `argument_invalid` */
function documentWrites({ documents = [] }: SessionWrite): readonly ScopedDocumentWrite[] {
  if (!Array.isArray(documents)) throw invalidArgument("documents", documents, { expected: "array" });
  return documents as readonly ScopedDocumentWrite[];
}

/** Do `work` in turn with the other writes to each of the sessions, which wait for each other in the order of the ids. */
async function inTurnOfAll<T>(handles: readonly Handle[], work: () => Promise<T>): Promise<T> {
  const [first, ...others] = handles.toSorted((a, b) => (a.key.id < b.key.id ? -1 : 1));
  return first === undefined ? await work() : await writesTo(first).alone(first, () => inTurnOfAll(others, work));
}

/** One round: all rules are applied, and their changes are committed. Undefined where the next round must know more. */
async function writeAll(
  core: Core,
  { all, documents }: { readonly all: readonly OneWrite[]; readonly documents: DocumentBatch | undefined },
  round: number,
): Promise<WritesOutcome | undefined> {
  const changes: Change[] = [];
  const beside: Change[] = [];
  for (const { id, handle, attempt } of all) {
    const proposal = await withoutForks(handle, () =>
      attempt.orStanding(() => handle.propose(attempt.rule, { recovers: "dead" }, round)),
    );
    switch (proposal?.status) {
      case "proposed":
        changes.push(proposal.change);
        beside.push(...proposal.beside);
        break;
      case "standing":
        return { ...proposal.outcome, id };
      case "duplicate":
        return outcomeOf(id, await attempt.duplicate(proposal.entry));
      case "unchanged":
        return outcomeOf(id, await attempt.unwritten());
      case undefined:
        return undefined;
    }
  }
  const committed = await core.commitWithDocuments({
    changes: eachOnce([...changes, ...beside]),
    documents: documents?.changes() ?? [],
  });
  if (committed.status === "ok") return { status: "ok", writes: all.map(({ attempt }) => attempt.result()) };
  if (committed.status === "document_conflict") {
    documents?.met(committed);
    return undefined;
  }
  if (committed.status === "duplicate") return await duplicateAmong(all, committed.entry);
  await learnAll(core, all);
  return undefined;
}

function outcomeOf(
  id: string,
  outcome: Extract<WriteOutcome, { readonly status: "duplicate" }> | undefined,
): WritesOutcome | undefined {
  return outcome === undefined ? undefined : { ...outcome, id };
}

/** Two sessions may lead to one other record that the commit changes. */
function eachOnce(changes: readonly Change[]): readonly Change[] {
  return [...new Map(changes.map((change) => [keyText(change.key), change])).values()];
}

/** The store returns the entry of a claimed key, and not its session. */
async function duplicateAmong(all: readonly OneWrite[], entry: Entry): Promise<WritesOutcome | undefined> {
  for (const { id, attempt } of all) {
    if (!(await attempt.isStored(entry))) continue;
    return outcomeOf(id, await attempt.duplicate(entry));
  }
  return undefined;
}

async function learnAll(core: Core, all: readonly OneWrite[]): Promise<void> {
  const records = await core.findAll(all.map(({ handle }) => handle.key));
  for (const [index, { id, handle }] of all.entries()) {
    const record = records[index];
    if (record === undefined) throw new SessionError("session_not_found", { sessionId: id, tenant: handle.key.tenant });
    handle.learn(record);
  }
}
