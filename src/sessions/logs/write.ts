/** Writes turns, named logs and fields of a session in one commit. */
import type { Entry, LogName } from "../../domain/record/entry.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { NewEntry } from "../../domain/writes/named-logs.ts";
import { waitAt, writeSession, type Known, type NewWrite, type Written } from "../../domain/writes/session-write.ts";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import { useNamed, useReferences } from "../attachments/put.ts";
import { dailyGuard } from "../budgets/daily-guard.ts";
import type { Core } from "../core/core.ts";
import { withoutForks } from "../handle/detach-forks.ts";
import type { Gate } from "../handle/gate.ts";
import type { Handle } from "../handle/handle.ts";
import type { FoldingPlace } from "../handle/operation-queue.ts";
import { writesTo } from "../handle/session-writes.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import type { FoldedResult, Rule, WriteOptions } from "../core/writable-session.ts";
import { DocumentBatch } from "../documents/document-batch.ts";
import { parseDocumentWrites, type ScopedDocumentWrite } from "../documents/document-write.ts";
import { waitingTurn, type WaitingTurn } from "../turns/progress/waiting-turn.ts";
import type { Turn } from "../../domain/turns/turn.ts";
import { logEntryOf } from "./log-entry.ts";
import { entriesOfKeys, knownFor, nothingKnown } from "./known-entries.ts";
import { parseWrite, type SessionWrite, type WriteOutcome, type WriteResult } from "./session-write.ts";

/** Rounds of reading what a write replaces, while other writers change it. */
const attemptsMax = 100;

/**
 * `beside`: changes of other records that land in the same commit.
 * @throws SessionError as `Session.write`
 */
export async function writeOn(
  handle: Handle,
  write: SessionWrite,
  { beside }: Pick<WriteOptions, "beside"> = {},
): Promise<WriteOutcome> {
  let place: FoldingPlace | undefined;
  try {
    const { core } = handle;
    core.guardStore();
    const parsed = parseWrite(core, handle.key.id, write);
    const documents = documentsOf(core, handle.key.tenant, write.documents);
    if (documents !== undefined || beside !== undefined || !addsOnly(parsed))
      // `close` waits for the write.
      return await core.take(() => handle.inOrder(() => writeAlone(handle, parsed, defined({ documents, beside }))));
    place = handle.enterFold();
    if (place.before !== undefined) await place.before;
    const made = attemptOf(handle, parsed);
    const attempt = made instanceof WriteAttempt ? made : await made;
    const committed = await attempt.folded(place);
    // Most writes end here: each function that waits costs memory, and the next ones are for what is met rarely.
    if (committed.status === "ok") return attempt.result();
    return (await outcomeOf(attempt, committed)) ?? (await writeAgain(handle, attempt, { done: 1 }));
  } catch (error) {
    // A write beside other changes is a part of another call, which names itself.
    throw beside === undefined ? handle.failureOf("write", error) : error;
  } finally {
    if (place !== undefined) handle.leaveFold(place);
  }
}

/** A write that may replace entries, which it must have read: the other writes of this process wait. */
function writeAlone(handle: Handle, write: NewWrite, options: NextOptions): Promise<WriteOutcome> {
  return writesTo(handle).alone(handle, () => withoutForks(handle, () => writeNext(handle, write, options)));
}

/** True where the rule needs no entry of a log: nothing is replaced, and the store compares the keys. */
function addsOnly({ turns, logs }: NewWrite): boolean {
  return (
    turns?.from === undefined &&
    logs.every(
      ({ from, entries }) =>
        from === undefined && entries.every(({ key, ifPresent }) => key === null || ifPresent === "refuse"),
    )
  );
}

/** The documents of a write; undefined if it has none. @throws SessionError as `Documents.write` */
export function documentsOf(
  core: Core,
  tenant: string,
  writes: readonly ScopedDocumentWrite[] | undefined,
): DocumentBatch | undefined {
  if (writes === undefined) return undefined;
  const parsed = parseDocumentWrites(tenant, writes, core.options.limits);
  return parsed.length === 0 ? undefined : new DocumentBatch(core, parsed);
}

interface NextOptions extends Pick<WriteOptions, "beside"> {
  readonly documents?: DocumentBatch;
}

async function writeNext(handle: Handle, write: NewWrite, options: NextOptions): Promise<WriteOutcome> {
  return await writeAgain(handle, await attemptOf(handle, write), options);
}

/** `done`: the attempts before, after which an attempt must read the newest record. */
async function writeAgain(
  handle: Handle,
  attempt: WriteAttempt,
  { done = 0, ...others }: NextOptions & { readonly done?: number },
): Promise<WriteOutcome> {
  return await retryOnConflict({ ...sessionIds(handle.record), attemptsMax, done }, async () => {
    const committed = await attempt.orStanding<FoldedResult>(() =>
      handle.write(attempt.rule, { ...recovering, ...others }),
    );
    return committed.status === "ok"
      ? withDocuments(attempt.result(), others.documents)
      : await outcomeOf(attempt, committed);
  });
}

const recovering = { recovers: "dead" } as const;

/** The outcome of a write that wrote nothing; undefined where it has to be tried again. */
async function outcomeOf(
  attempt: WriteAttempt,
  committed: Exclude<FoldedResult | Standing, { readonly status: "ok" }>,
): Promise<WriteOutcome | undefined> {
  switch (committed.status) {
    case "standing":
      return committed.outcome;
    case "duplicate":
      return await attempt.duplicate(committed.entry);
    case "unchanged":
      return await attempt.unwritten();
  }
}

function withDocuments(result: WriteResult, documents: DocumentBatch | undefined): WriteResult {
  return documents === undefined ? result : { ...result, documents: documents.versions() };
}

/** The attempts of one write to one session: each applies the rule to what is known of the logs that it replaces. */
export function attemptOf(handle: Handle, write: NewWrite): WriteAttempt | Promise<WriteAttempt> {
  const { turns: { turns = [] } = {}, logs } = write;
  const used = useReferences(handle, ...turns.flatMap(({ input, output }) => [input, output]));
  const named =
    logs.length === 0
      ? undefined
      : useNamed(
          handle,
          logs.flatMap(({ entries }) => entries),
        );
  const guardDaily = turns.length > 0 ? dailyGuard(handle.core, handle.record) : undefined;
  if (used === undefined && named === undefined && guardDaily === undefined)
    return new WriteAttempt(handle, write, undefined);
  return Promise.all([used, named, guardDaily]).then(([, , guard]) => new WriteAttempt(handle, write, guard));
}

/** The key of a write is in its log already. */
interface Standing {
  readonly status: "standing";
  readonly outcome: Extract<WriteOutcome, { status: "duplicate" }>;
}

export class WriteAttempt {
  readonly #handle: Handle;
  readonly #write: NewWrite;
  readonly #guardDaily: (() => void) | undefined;
  #known: Known = nothingKnown;
  #written: Written | undefined;
  /** When the rule was applied last, epoch ms. */
  #at = 0;

  constructor(handle: Handle, write: NewWrite, guardDaily: (() => void) | undefined) {
    this.#handle = handle;
    this.#write = write;
    this.#guardDaily = guardDaily;
  }

  /** The rule of the write; null where it writes nothing, and {@link unwritten} says why. */
  readonly rule: Rule = (draft, context, { fence }) => {
    this.#guardDaily?.();
    this.#at = context.now;
    const agentOf = (record: SessionRecord): string => this.#handle.core.chooseAgent(record, {}).agent;
    const parts = { write: this.#write, known: this.#known, fence, agentOf };
    this.#written = writeSession(draft, parts, context);
    return this.#written.status === "written" ? this.#written.change : null;
  };

  /** Commit the first attempt, which may fold with other writes; `queued` opens once it is in their queue. */
  folded(queued: Gate): Promise<FoldedResult | Standing> {
    const { turns: { turns = [] } = {}, logs } = this.#write;
    const hasKeys = logs.length > 0 || turns.some(({ key }) => key !== null);
    const fold = (): Promise<FoldedResult> => this.#handle.fold(this.rule, recovering, queued);
    return hasKeys ? this.orStanding(fold) : fold();
  }

  /** The result of the change that was committed. */
  result(): WriteResult {
    const written = this.#written;
    const record = written?.status === "written" ? written.change.record : undefined;
    if (written?.status !== "written" || record == null) throw new Error("a write that was committed has a result");
    const logs = [...written.logs].map(([log, { seqs, end }]) => [log, { seqs, end }] as const);
    const { version } = record;
    const result: WriteResult = { status: "ok", version, turns: written.turns, logs: Object.fromEntries(logs) };
    const waiting = this.#waiting(written.turns.at(-1));
    return waiting === undefined ? result : { ...result, waiting };
  }

  /** The turn that waits; undefined where the write has none. */
  #waiting(turn: Turn | undefined): WaitingTurn | undefined {
    const wait = this.#write.turns?.wait;
    if (wait === undefined || turn === undefined) return undefined;
    const waits = waitAt(wait, this.#at);
    return waitingTurn(turn, waits.waiting, waits.resume);
  }

  /** Why the rule wrote nothing: two entries have one key; or undefined, once what it replaces was read. */
  async unwritten(): Promise<Standing["outcome"] | undefined> {
    const written = this.#written;
    if (written?.status === "duplicate") return duplicateOf(written.log, written.entry);
    await this.#readKnown();
    return undefined;
  }

  /** The outcome of a commit that found this entry; undefined, once the keys were read, where the write skips or replaces it. */
  async duplicate(entry: Entry): Promise<Standing["outcome"] | undefined> {
    const log = await this.#logOf(entry);
    if (log !== undefined) return duplicateOf(log, entry);
    await this.#readKnown();
    return undefined;
  }

  /** Reads again what did not fit the record, which may be older than the stored one. */
  async #readKnown(): Promise<void> {
    if (this.#known !== nothingKnown) await this.#handle.peek();
    this.#known = await knownFor(this.#handle, this.#write);
  }

  /** True where the entry is in a log of the session, under a key of the write. */
  async isStored(entry: Entry): Promise<boolean> {
    const { core, record } = this.#handle;
    for (const [log, keys] of keysOf(this.#write)) {
      if (!keys.includes(entry.key ?? "")) continue;
      const found = await firstOf(core, record, log, [entry.key ?? ""]);
      if (found !== undefined && isSame(found, entry)) return true;
    }
    return false;
  }

  /**
   * Do `work`; if it fails and a key of the write is in its log, the write is a repetition: the record has usually moved on since
   * the first try.
   */
  async orStanding<T>(work: () => Promise<T>): Promise<T | Standing> {
    try {
      return await work();
    } catch (error) {
      const standing = error instanceof SessionError ? await this.#standing() : undefined;
      if (standing === undefined) throw error;
      return { status: "standing", outcome: standing };
    }
  }

  async #standing(): Promise<Standing["outcome"] | undefined> {
    const { core, record } = this.#handle;
    for (const [log, keys] of refusedKeys(this.#write)) {
      const entry = await firstOf(core, record, log, keys);
      if (entry !== undefined) return duplicateOf(log, entry);
    }
    return undefined;
  }

  /** The log of an entry whose key the write refuses; undefined where it skips or replaces the key. */
  async #logOf(entry: Entry): Promise<LogName | undefined> {
    const { key } = entry;
    const logs = [...refusedKeys(this.#write)].filter(([, keys]) => keys.includes(key ?? "")).map(([log]) => log);
    const { core, record } = this.#handle;
    const mayBeAnother = this.#write.logs.some(({ log, entries }) => !logs.includes(log) && hasKey(entries, key));
    if (logs.length === 1 && !mayBeAnother) return logs[0];
    for (const log of logs) {
      const found = await firstOf(core, record, log, [key ?? ""]);
      if (found !== undefined && isSame(found, entry)) return log;
    }
    return undefined;
  }
}

function hasKey(entries: readonly NewEntry[], key: string | null): boolean {
  return entries.some((entry) => entry.key === key);
}

function isSame(a: Entry, b: Entry): boolean {
  return a.seq === b.seq && a.at === b.at && a.data === b.data;
}

/** The keys that refuse the write where they are in the log, by log. */
function refusedKeys({ turns, logs, ...write }: NewWrite): ReadonlyMap<LogName, readonly string[]> {
  const refused = logs.map(({ log, entries }) => ({
    log,
    entries: entries.filter(({ ifPresent }) => ifPresent === "refuse"),
  }));
  return keysOf({ ...write, ...defined({ turns }), logs: refused });
}

/** The keys of a write, by log, without logs that have none. */
function keysOf({ turns, logs }: NewWrite): ReadonlyMap<LogName, readonly string[]> {
  const items = [{ log: "turns", entries: turns?.turns ?? [] }, ...logs];
  const keys = items.map(({ log, entries }) => [log, entries.flatMap(({ key }) => key ?? [])] as const);
  return new Map(keys.filter(([, ofLog]) => ofLog.length > 0));
}

/** An entry with one of these keys. */
async function firstOf(
  core: Core,
  record: SessionRecord,
  log: LogName,
  keys: readonly string[],
): Promise<Entry | undefined> {
  try {
    for await (const entry of entriesOfKeys(core, record, { log, keys })) return entry;
  } catch (error) {
    // The session was removed, or the store is away: the first error reports it.
    if (!(error instanceof SessionError)) throw error;
  }
  return undefined;
}

function duplicateOf(log: LogName, entry: Entry): Standing["outcome"] {
  return { status: "duplicate", log, entry: logEntryOf(log, entry) };
}
