/**
 * Erase a user. What goes is counted in a record of its own, in the same transaction with what it counts: an erasure that was
 * killed is taken up where it stood, by whoever runs it again, and two that run at once count everything once. It *runs* until
 * a look finds nothing of the user any more but what is under hold; then the store's files are scrubbed, and it is *finished*:
 * its record holds the receipt, for a while, and whoever runs it again is given that one, unless there is something new.
 */
import { createHash } from "node:crypto";
import { firstOwn, headOf } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { Metadata, SessionRecord } from "../../domain/record/record.ts";
import { internalScope } from "../../domain/values/internal-scope.ts";
import { hasCode } from "../../errors.ts";
import { isDeviceName } from "../core/keyed-hash.ts";
import type { Settled } from "../../store/store.ts";
import { signReceipt, type ErasedCounts, type ErasureReceipt } from "./erasure-receipt.ts";
import { detachForks } from "../core/detach-forks.ts";
import { Handle } from "../core/handle.ts";
import { internalChange, liveMetadata } from "../core/internal-record.ts";
import { linkCodesOf } from "../devices/link-code.ts";
import { endsPass } from "../core/pass-failures.ts";
import { forksHolding, theirs, type Holding } from "../core/fork-references.ts";
import { retryOnConflict, type Retry } from "../core/retry-on-conflict.ts";
import { markFork, marksOf, type SharedForks } from "./shared-forks.ts";
import { devicePages, sessionPages, stagedPages, subjectOf, waitingOf, waitingPages, type Subject } from "./subject.ts";
import { tracesOf, type References } from "./references.ts";

/** Whom to erase. */
export interface ErasureRequest {
  readonly user: string;
  /** How the receipt calls the store. @default it does not */
  readonly store?: string;
  /**
   * What becomes of sessions of others that were forked from the user's, and of forks of those: they keep what they share, as a
   * copy of their own, and the receipt names them; or they are erased as a whole, with what others said in them. One
   * under hold is kept in any case.
   * @default "keep"
   */
  readonly forks?: "keep" | "erase";
  /** Stops it between batches; another run goes on. */
  readonly signal?: AbortSignal;
}

/** What an erasure has done so far. */
interface Progress {
  readonly startedAt: number;
  readonly erased: ErasedCounts;
  readonly hash: string;
  readonly receipt: ErasureReceipt | null;
}

/** Records that go in one transaction. */
const batchSize = 20;
/** So often may others write under it, and so often may something new of the user come. */
const attemptsMax = 50;
/** A run that nobody takes up is forgotten after so long, a receipt after so long. */
const progressTtlMs = 365 * 86_400_000;
const receiptTtlMs = 30 * 86_400_000;

const nothing: ErasedCounts = {
  sessions: 0,
  forks: 0,
  archives: 0,
  turns: 0,
  events: 0,
  devices: 0,
  codes: 0,
  outbox: 0,
};

/** One run of the erasure of a user. */
export class Erasure {
  readonly #subject: Subject;
  readonly #request: ErasureRequest;
  readonly #key: SessionKey;
  readonly #retry: Retry;
  #found: SessionRecord | undefined;
  #progress: Progress | undefined;

  /** @throws SessionError `secret_missing` */
  constructor(subject: Subject, request: ErasureRequest) {
    const { core, tenant, user } = subject;
    this.#subject = subject;
    this.#request = request;
    this.#key = { tenant: internalScope(tenant, "erasures"), id: subjectOf(core, tenant, user) };
    this.#retry = { sessionId: this.#key.id, tenant: this.#key.tenant, attemptsMax };
  }

  /** @throws SessionError `contended` where something new of the user keeps coming, and the store's */
  async run(): Promise<ErasureReceipt> {
    await this.#load();
    return await retryOnConflict(this.#retry, async () => {
      let traces: References | undefined;
      let failure: unknown;
      try {
        traces = await tracesOf(this.#subject);
      } catch (error) {
        if (endsPass(error)) throw error;
        failure = error;
      }
      if (traces !== undefined && this.#isDone(traces)) return await this.#finish(traces);
      await this.#pass();
      // One session that cannot be looked at keeps none of the others from going.
      if (traces === undefined) throw failure;
      return undefined;
    });
  }

  async #load(): Promise<void> {
    const { core } = this.#subject;
    this.#know((await core.find(this.#key))?.record);
  }

  #know(found: SessionRecord | undefined): void {
    this.#found = found;
    this.#progress = liveMetadata(this.#subject.core, found) as Progress | undefined;
  }

  /** What is written down; after a receipt, what comes now is an erasure of its own. */
  #underWay(): Progress {
    const known = this.#progress;
    if (known !== undefined && known.receipt === null) return known;
    return { startedAt: this.#subject.core.now(), erased: nothing, hash: "", receipt: null };
  }

  /** @throws what kept one session from being erased, once all others are */
  async #pass(): Promise<void> {
    const { core, tenant, fallback } = this.#subject;
    const failures: unknown[] = [];
    const tolerantly = async (record: SessionRecord): Promise<boolean> => {
      try {
        await this.#eraseTheirs(record);
        return true;
      } catch (error) {
        if (endsPass(error)) throw error;
        failures.push(error);
        return false;
      }
    };
    for await (const page of waitingPages(this.#subject)) await this.#forgetWaiting(page);
    for await (const page of stagedPages(this.#subject)) await this.#eraseAll("staged", page);
    for await (const { pointers, guests } of devicePages(this.#subject)) {
      // A device's name leads to what it said: the pointer goes last.
      if (fallback !== undefined) await this.#forgetWaiting(await waitingOf(this.#subject, pointers));
      let goes = true;
      for (const guest of guests) goes = (await tolerantly(guest)) && goes;
      // Without it nothing would lead to what is left.
      if (!goes) continue;
      for (const pointer of pointers) {
        // In one commit: a code belongs to the user for as long as its device speaks for the user.
        const codes = (await linkCodesOf(core, tenant, [pointer.id])).map(
          (record) => ({ kind: "code", record }) as const,
        );
        const kind = isDeviceName(pointer.id) ? "device" : "way";
        await this.#eraseBatch([...codes, { kind, record: pointer }]);
      }
    }
    for await (const page of sessionPages(this.#subject)) {
      const forked = page.filter(({ forkedAt }) => forkedAt > 0);
      for (const record of forked) await tolerantly(record);
      await this.#eraseAll(
        "session",
        page.filter(({ forkedAt }) => forkedAt === 0),
      );
    }
    for await (const { mark, isPlain, fork } of marksOf(this.#subject)) {
      // One that stays is marked anew, without the user's name.
      if (fork !== undefined) await this.#eraseFork(fork);
      if (fork === undefined || isPlain || !(await this.#stays(fork))) await this.#eraseAll("mark", [mark]);
    }
    if (failures.length > 0) throw failures[0];
  }

  async #stays({ record: { tenant, id, createdAt } }: Holding): Promise<boolean> {
    return (await this.#subject.core.find({ tenant, id }))?.record.createdAt === createdAt;
  }

  async #eraseTheirs(record: SessionRecord): Promise<void> {
    await this.#eraseSession(
      record.forkedAt > 0 ? await theirs(this.#subject, record) : { record, from: 1, isTheirs: true },
    );
  }

  /** A session, and first the forks that share its turns. */
  async #eraseSession(session: Holding): Promise<void> {
    const { record, isTheirs } = session;
    if (record.legalHold !== null) return await this.#eraseForks(session);
    const handle = new Handle(this.#subject.core, record);
    try {
      if (record.forkedAt > 0) {
        const before = (newest: SessionRecord): Promise<void> => this.#eraseForks({ ...session, record: newest });
        await detachForks(handle, { user: this.#subject.user, before });
      }
    } catch (error) {
      // It went with what it was forked from, or somebody else erases the same user: the next look finds what is left.
      if (hasCode(error, "session_not_found")) return;
      throw error;
    }
    await this.#eraseAll(isTheirs ? "session" : "fork", [handle.record]);
  }

  async #eraseForks(session: Holding): Promise<void> {
    if (session.record.forkedAt === 0) return;
    for await (const fork of forksHolding(this.#subject, session)) await this.#eraseFork(fork);
  }

  /** One that stays is written down before what it was forked from goes, and so are those that were forked from it. */
  async #eraseFork(fork: Holding): Promise<void> {
    const { record, isTheirs } = fork;
    const goes = record.legalHold === null && (isTheirs || this.#request.forks === "erase");
    if (goes) return await this.#eraseSession(fork);
    if (record.user !== this.#subject.user) await markFork(this.#subject, fork);
    await this.#eraseForks(fork);
  }

  async #eraseAll(kind: Kind, records: readonly SessionRecord[]): Promise<void> {
    for (let start = 0; start < records.length; start += batchSize) {
      this.#request.signal?.throwIfAborted();
      await this.#eraseBatch(records.slice(start, start + batchSize).map((record) => ({ kind, record })));
    }
  }

  /** Records that go together, and what is written down of them, in one transaction. */
  async #eraseBatch(found: readonly Item[]): Promise<void> {
    const { core } = this.#subject;
    let items = found;
    await retryOnConflict(this.#retry, async (attempt) => {
      this.#request.signal?.throwIfAborted();
      items = this.#goingOf(items);
      if (items.length === 0) return true;
      const progress = counted(this.#underWay(), items);
      const change = this.#noted(progress, progressTtlMs);
      const outcome = await core.commit([...items.map(({ record }) => removeSession(record)), change]);
      if (outcome.status === "ok") {
        this.#found = change.record ?? undefined;
        this.#progress = progress;
        return true;
      }
      if (items.length > 1 && attempt > 1 && !items.some(({ kind }) => kind === "device")) {
        // A writer that keeps writing to one of them must not hold up the others.
        for (const item of items) await this.#eraseBatch([item]);
        return true;
      }
      items = await this.#newest(items, outcome);
      return undefined;
    });
  }

  /** Another process wrote to one of these records, or erases the same user. */
  async #newest(items: readonly Item[], outcome: Settled): Promise<readonly Item[]> {
    const current = outcome.status === "conflict" ? outcome.current : undefined;
    // No look in between where there is no need: a process that writes without a break would always be ahead of it.
    if (current !== undefined && isSameKey(this.#key, current)) {
      this.#know(current);
      return items;
    }
    if (current !== undefined && items.some(({ record }) => isSameKey(record, current)))
      return items.flatMap((item) => (isSameKey(item.record, current) ? stillMeant(item, current) : [item]));
    await this.#load();
    const newest = await this.#subject.core.findAll(items.map(({ record }) => record));
    return items.flatMap((item, index) => stillMeant(item, newest[index]));
  }

  /** Those that may go now: a code goes with its device only. */
  #goingOf(items: readonly Item[]): readonly Item[] {
    const going = items.filter((item) => this.#mayGo(item));
    const devices = new Set<unknown>(going.filter(({ kind }) => kind === "device").map(({ record }) => record.id));
    return going.filter(({ kind, record }) => kind !== "code" || devices.has(record.metadata["device"]));
  }

  /** What is held stays; what was forked, or has become another user's, is looked at anew. */
  #mayGo({ kind, record: { legalHold, forkedAt, user } }: Item): boolean {
    if (legalHold !== null || forkedAt > 0) return false;
    const isTheirs = user === this.#subject.user;
    switch (kind) {
      case "device":
        return isTheirs;
      case "session":
      case "way":
      case "code":
        return isTheirs || user === null;
      case "fork":
      case "mark":
      case "staged":
        return true;
    }
  }

  /** Another store: it cannot be one transaction with the count, which may lack what went last before a crash. */
  async #forgetWaiting(records: readonly SessionRecord[]): Promise<void> {
    const { fallback, core } = this.#subject;
    const gone: SessionRecord[] = [];
    for (const record of records) {
      const outcome = await fallback?.commit([removeSession(record)]);
      if (outcome?.status === "ok") gone.push(record);
    }
    if (gone.length === 0) return;
    await retryOnConflict(this.#retry, async () => {
      const progress = counted(
        this.#underWay(),
        gone.map((record) => ({ kind: "outbox", record })),
      );
      const outcome = await core.commit([this.#noted(progress, progressTtlMs)]);
      await this.#load();
      return outcome.status === "ok" ? true : undefined;
    });
  }

  #noted(progress: Progress, ttlMs: number): ReturnType<typeof internalChange> {
    return internalChange(this.#subject.core, this.#key, this.#found, {
      metadata: progress as unknown as Metadata,
      ttlMs,
    });
  }

  /** Nothing is left but what is to stay. */
  #isDone({ sessions, held, devices, ways, outbox, sharedForks }: References): boolean {
    const forksAreDone = this.#request.forks !== "erase" || sharedForks.count === sharedForks.held;
    return sessions === held && devices === 0 && ways === 0 && outbox === 0 && forksAreDone;
  }

  async #finish({ held, sharedForks }: References): Promise<ErasureReceipt> {
    const { core, fallback, tenant } = this.#subject;
    return await retryOnConflict(this.#retry, async () => {
      const known = this.#progress?.receipt;
      if (known != null && isSame(known.sharedForks, sharedForks)) return known;
      const progress = this.#underWay();
      await core.store.scrub();
      await fallback?.store.scrub();
      const receipt = signReceipt(core, {
        tenant,
        subject: this.#key.id,
        store: this.#request.store ?? null,
        startedAt: new Date(progress.startedAt).toISOString(),
        finishedAt: new Date(core.now()).toISOString(),
        erased: progress.erased,
        held,
        sharedForks,
        scrubbed: core.store.capabilities.scrubs,
        hash: progress.hash,
      });
      const outcome = await core.commit([this.#noted({ ...progress, receipt }, receiptTtlMs)]);
      if (outcome.status === "ok") return receipt;
      await this.#load();
      return undefined;
    });
  }
}

type Kind = "session" | "fork" | "mark" | "device" | "way" | "code" | "staged";

/** A record to be removed, and as what it was found. */
interface Item {
  readonly kind: Kind;
  readonly record: SessionRecord;
}

/** The item with the record that stands now; nothing where that one is another. */
function stillMeant({ kind, record }: Item, current: SessionRecord | undefined): readonly Item[] {
  if (current === undefined) return [];
  // A mark that was written anew says something new.
  const isSame =
    kind === "mark"
      ? current.version === record.version
      : kind === "code"
        ? current.metadata["device"] === record.metadata["device"]
        : kind === "device" || kind === "way" || current.createdAt === record.createdAt;
  return isSame ? [{ kind, record: current }] : [];
}

function isSameKey(one: SessionKey, other: SessionKey): boolean {
  return one.tenant === other.tenant && one.id === other.id;
}

/** The same forks, as far as receipts tell. */
function isSame(one: SharedForks, other: SharedForks): boolean {
  return one.count === other.count && one.held === other.held && one.ids.every((id, index) => id === other.ids[index]);
}

interface Counted {
  readonly kind: Kind | "outbox";
  readonly record: SessionRecord;
}

function counted(progress: Progress, items: readonly Counted[]): Progress {
  const erased = items.reduce((counts, { kind, record }) => plus(counts, kind, record), progress.erased);
  const hash = items.reduce(
    (before, { kind, record: { id, version } }) =>
      createHash("sha256")
        .update(JSON.stringify([before, kind, id, version]))
        .digest("hex"),
    progress.hash,
  );
  return { ...progress, erased, hash };
}

function plus(counts: ErasedCounts, kind: Counted["kind"], record: SessionRecord): ErasedCounts {
  switch (kind) {
    case "device":
      return { ...counts, devices: counts.devices + 1 };
    case "way":
    case "mark":
    case "staged":
      return counts;
    case "code":
      return { ...counts, codes: counts.codes + 1 };
    case "outbox":
      return { ...counts, outbox: counts.outbox + 1 };
    case "session":
    case "fork":
      return {
        ...counts,
        sessions: counts.sessions + 1,
        forks: counts.forks + (isFork(kind, record) ? 1 : 0),
        archives: counts.archives + (record.archive === null ? 0 : 1),
        turns: counts.turns + headOf(record, "turns") - firstOwn(record, "turns") + 1,
        events: counts.events + headOf(record, "events"),
      };
  }
}

/** A fork that was given its own turns has no parent any more. */
function isFork(kind: "session" | "fork", { parent, inherited }: SessionRecord): boolean {
  return parent !== null || (kind === "fork" && inherited > 0);
}
