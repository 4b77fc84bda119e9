/**
 * Logs of any size, written in bounded commits beside the session that they are for. The session takes them over in one small
 * commit, so a reader sees its old logs or its new ones, and no commit grows with the logs.
 *
 * States of staged logs:
 * - *filling*: their writer adds entries. Exits: the session takes them over, which removes their record; the writer discards them;
 *   the process of the writer ends.
 * - *abandoned*: the process of their writer has ended. The next staging for the same session removes them, an erasure of their
 *   user does, and the sweep does after a day.
 */
import type { Change } from "../../domain/record/change.ts";
import { stageEntries, stagedScope, type Staged } from "../../domain/copies/staged.ts";
import type { Entry, LogName, SessionKey, Splice } from "../../domain/record/entry.ts";
import { removeSession, type Logs } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { sortableId } from "../../domain/values/ids.ts";
import type { Limits } from "../../domain/values/limits.ts";
import { SessionError } from "../../errors.ts";
import { encodeCursor } from "../../store/cursor.ts";
import type { Core } from "./core.ts";
import { internalChange } from "./internal-record.ts";
import { nodeCrypto } from "../../node-crypto.ts";

const ttlMs = 86_400_000;
/** One commit takes this many pages of a log. */
const pagesAtOnce = 4;
/** Staged logs of the same session that are checked for a writer that has ended. */
const abandonedMax = 20;

/** The entries, and the characters of their data, that one commit takes. */
export function stepOf({ readMax, readBytesMax }: Limits): { readonly entries: number; readonly length: number } {
  return { entries: pagesAtOnce * readMax, length: pagesAtOnce * readBytesMax };
}

/** Logs as a rule takes them: in memory, or staged. With `staged` the logs in memory are empty. */
export interface ArrivedLogs {
  readonly logs: Logs;
  readonly staged: Staged | undefined;
  /** Changes that the commit of the rule contains as well. */
  readonly beside: readonly Change[];
}

/**
 * Logs on their way to a session. They stay in memory while one commit can take them, and are staged from then on. Disposing
 * of them discards what is staged, unless a session took it over.
 */
export class ArrivingLogs implements AsyncDisposable {
  readonly #core: Core;
  readonly #target: SessionKey;
  /** The user whose words they hold. */
  readonly #user: string | null;
  readonly #logs = new Map<LogName, Entry[]>();
  #count = 0;
  #length = 0;
  #staged: StagedLogs | undefined;
  #isTaken = false;

  constructor(core: Core, target: SessionKey, user: string | null) {
    this.#core = core;
    this.#target = target;
    this.#user = user;
  }

  /** True once the logs are more than one commit takes. */
  get isStaged(): boolean {
    return this.#staged !== undefined;
  }

  /** Add the next entry of a log. `length` is what the entry counts towards the size of one commit. */
  async add(log: LogName, entry: Entry, length: number = entry.data.length): Promise<void> {
    if (this.#staged !== undefined) {
      await this.#staged.add(log, entry);
      return;
    }
    const entries = this.#logs.get(log);
    if (entries === undefined) this.#logs.set(log, [entry]);
    else entries.push(entry);
    this.#count++;
    this.#length += length;
    const max = stepOf(this.#core.options.limits);
    if (this.#count > max.entries || this.#length > max.length) await this.#stage();
  }

  async #stage(): Promise<void> {
    this.#staged = await StagedLogs.begin(this.#core, this.#target, this.#user);
    for (const [log, entries] of this.#logs) for (const entry of entries) await this.#staged.add(log, entry);
    this.#logs.clear();
  }

  /** The logs, once all entries were added. */
  async arrived(): Promise<ArrivedLogs> {
    if (this.#staged === undefined) return { logs: this.#logs, staged: undefined, beside: [] };
    await this.#staged.flush();
    return { logs: this.#logs, staged: this.#staged.staged, beside: [this.#staged.removal] };
  }

  /** A session took the logs over. */
  taken(): void {
    this.#isTaken = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isTaken) await this.#staged?.discard();
  }
}

/** Staged logs that are being filled. */
export class StagedLogs {
  readonly #core: Core;
  #record: SessionRecord;
  readonly #heads: { [log: string]: number } = {};
  #pending = new Map<LogName, Entry[]>();
  #count = 0;
  #length = 0;

  private constructor(core: Core, record: SessionRecord) {
    this.#core = core;
    this.#record = record;
  }

  /** Stage logs for this session; `user` is the user whose words they hold. */
  static async begin(core: Core, target: SessionKey, user: string | null): Promise<StagedLogs> {
    const tenant = stagedScope(target.tenant);
    const prefix = `${nodeCrypto().createHash("sha256").update(target.id).digest("hex").slice(0, 32)}.`;
    await core.instance.ensureAlive();
    await removeAbandoned(core, tenant, prefix);
    await core.learnTime();
    const key = { tenant, id: prefix + sortableId(core.now(), core.options.clock.random(16)) };
    const metadata = { session: target.id, instance: core.instance.id };
    const begun = internalChange(core, key, undefined, { ...(user === null ? {} : { user }), metadata, ttlMs });
    return new StagedLogs(core, await landed(core, begun));
  }

  /** Add the next entry of a log. */
  async add(log: LogName, entry: Entry): Promise<void> {
    const max = stepOf(this.#core.options.limits);
    if (this.#count > 0 && this.#length + entry.data.length > max.length) await this.flush();
    const entries = this.#pending.get(log);
    if (entries === undefined) this.#pending.set(log, [entry]);
    else entries.push(entry);
    this.#count++;
    this.#length += entry.data.length;
    if (this.#count >= max.entries) await this.flush();
  }

  /** Write what was added. @throws SessionError `contended` where another process removed the staged logs */
  async flush(): Promise<void> {
    if (this.#count === 0) return;
    const splices = [...this.#pending].map(([log, entries]): Splice => ({ log, from: entries[0]?.seq ?? 1, entries }));
    this.#pending = new Map();
    this.#count = 0;
    this.#length = 0;
    for (const { log, entries } of splices) this.#heads[log] = entries.at(-1)?.seq ?? 0;
    this.#record = await landed(this.#core, stageEntries(this.#record, splices, this.#core.context()));
  }

  /** The place of the logs, for the rule that has a session take them over. */
  get staged(): Staged {
    return { key: { tenant: this.#record.tenant, id: this.#record.id }, heads: this.#heads };
  }

  /** The change that goes into the commit in which a session takes the logs over. */
  get removal(): Change {
    return removeSession(this.#record);
  }

  /** Remove them, unless a session took them over. */
  async discard(): Promise<void> {
    try {
      await this.#core.commit([this.removal]);
    } catch {
      // The store is away: the next staging for the session removes them, or the sweep does.
    }
  }
}

async function landed(core: Core, change: Change): Promise<SessionRecord> {
  const outcome = await core.commit([change]);
  const record = outcome.status === "ok" ? outcome.changes[0]?.record : undefined;
  if (record != null) return record;
  throw new SessionError("contended", { sessionId: change.key.id, tenant: change.key.tenant, attempts: 1 });
}

/** Remove the staged logs of processes that have ended. */
async function removeAbandoned(core: Core, tenant: string, prefix: string): Promise<void> {
  const after = encodeCursor([tenant, prefix]);
  const { records } = await core.store.find({ order: "key", tenant, after, now: core.now(), limit: abandonedMax });
  for (const record of records) {
    if (!record.id.startsWith(prefix)) return;
    if (await isAbandoned(core, record)) await core.commit([removeSession(record)]);
  }
}

/** True for staged logs whose process has ended. */
export async function isAbandoned(core: Core, { metadata }: SessionRecord): Promise<boolean> {
  const { instance } = metadata;
  return typeof instance !== "string" || !(await core.instance.runs(instance));
}
