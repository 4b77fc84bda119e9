/**
 * Erase a user. What goes is counted in a record of its own, in the same transaction with what it counts: an erasure that was
 * killed is taken up where it stood, by whoever runs it again, and two that run at once count everything once. It *runs* until
 * a look finds nothing of the user any more but what is under hold; then the store's files are scrubbed, and it is *finished*:
 * its record holds the receipt, for a while, and whoever runs it again is given that one, unless there is something new.
 */
import { createHash } from "node:crypto";
import { firstOwn, headOf } from "../domain/change.ts";
import type { SessionKey } from "../domain/entry.ts";
import { removeSession } from "../domain/lifecycle.ts";
import type { Metadata, SessionRecord } from "../domain/record.ts";
import { innerScope } from "../domain/scope.ts";
import { SessionError } from "../errors.ts";
import { isDeviceName } from "./device-way.ts";
import type { Outcome } from "../store/store.ts";
import { signReceipt, subjectOf, type ErasedCounts, type ErasureReceipt } from "./erasure-receipt.ts";
import { forksOf, freeForks, isForkOf } from "./forks.ts";
import { Handle } from "./handle.ts";
import { innerChange, liveMetadata } from "./inner-record.ts";
import { linkCodesOf } from "./link-code.ts";
import { devicePages, sessionPages, tracesOf, waitingOf, waitingPages, type Subject, type Traces } from "./traces.ts";

/** Whom to erase. */
export interface ErasureRequest {
  readonly user: string;
  /** How the receipt calls the store. @default it does not */
  readonly store?: string;
  /** Stops it between batches; another run goes on. */
  readonly signal?: AbortSignal;
}

/** What an erasure has done so far. */
interface Progress {
  readonly startedAt: number;
  readonly erased: ErasedCounts;
  readonly kept: number;
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
  #found: SessionRecord | undefined;
  #progress: Progress | undefined;
  /** Forks that were given their own, not counted in the progress yet. */
  #kept = 0;

  /** @throws SessionError `secret_missing` */
  constructor(subject: Subject, request: ErasureRequest) {
    const { core, tenant, user } = subject;
    this.#subject = subject;
    this.#request = request;
    this.#key = { tenant: innerScope(tenant, "erasures"), id: subjectOf(core, tenant, user) };
  }

  /** @throws SessionError `contended` where something new of the user keeps coming, and the store's */
  async run(): Promise<ErasureReceipt> {
    await this.#load();
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      const traces = await tracesOf(this.#subject);
      if (isNothing(traces)) return await this.#finish(traces);
      await this.#pass();
    }
    throw new SessionError("contended", { sessionId: this.#key.id, tenant: this.#key.tenant, attempts: attemptsMax });
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
    return { startedAt: this.#subject.core.now(), erased: nothing, kept: 0, hash: "", receipt: null };
  }

  async #pass(): Promise<void> {
    const { core, tenant, fallback } = this.#subject;
    for await (const page of waitingPages(this.#subject)) await this.#forgetWaiting(page);
    for await (const { pointers, guests } of devicePages(this.#subject)) {
      // A device's name leads to what it said: the pointer goes last.
      if (fallback !== undefined) await this.#forgetWaiting(await waitingOf(this.#subject, pointers));
      for (const guest of guests) await this.#eraseSession(guest);
      const names = pointers.map(({ id }) => id);
      await this.#eraseAll("code", await linkCodesOf(core, tenant, names));
      const devices = pointers.filter(({ id }) => isDeviceName(id));
      await this.#eraseAll("device", devices);
      await this.#eraseAll(
        "way",
        pointers.filter((pointer) => !devices.includes(pointer)),
      );
    }
    for await (const page of sessionPages(this.#subject)) {
      const forked = page.filter(({ forkedAt }) => forkedAt > 0);
      for (const record of forked) await this.#eraseSession(record);
      await this.#eraseAll(
        "session",
        page.filter(({ forkedAt }) => forkedAt === 0),
      );
    }
  }

  /** A session, and first the forks that share its turns. */
  async #eraseSession(record: SessionRecord): Promise<void> {
    if (record.hold !== null) return;
    const { core, tenant, user } = this.#subject;
    const handle = new Handle(core, record);
    if (record.forkedAt > 0) {
      for await (const id of forksOf(core, record)) {
        const fork = (await core.find({ tenant, id }))?.record;
        if (fork === undefined || !isForkOf(fork, record)) continue;
        const isTheirs = fork.user === null || fork.user === user;
        if (isTheirs && fork.hold === null) await this.#eraseSession(fork);
        else this.#kept++;
      }
      await freeForks(handle);
    }
    await this.#eraseAll("session", [handle.record]);
  }

  async #eraseAll(kind: Kind, records: readonly SessionRecord[]): Promise<void> {
    for (let start = 0; start < records.length; start += batchSize) {
      this.#request.signal?.throwIfAborted();
      await this.#eraseBatch(kind, records.slice(start, start + batchSize));
    }
  }

  /** Records that go together, and what is written down of them, in one transaction. */
  async #eraseBatch(kind: Kind, found: readonly SessionRecord[]): Promise<void> {
    const { core } = this.#subject;
    let records = found;
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      records = records.filter((record) => this.#mayGo(kind, record));
      if (records.length === 0) return;
      const progress = counted(this.#underWay(), kind, records, this.#kept);
      const change = this.#noted(progress, progressTtlMs);
      const outcome = await core.commit([...records.map(removeSession), change]);
      if (outcome.status === "ok") {
        this.#kept = 0;
        this.#found = change.record ?? undefined;
        this.#progress = progress;
        return;
      }
      if (records.length > 1 && attempt > 1) {
        // Who goes on writing in one of them must not hold up the others.
        for (const record of records) await this.#eraseBatch(kind, [record]);
        return;
      }
      records = await this.#newest(records, outcome);
    }
    throw new SessionError("contended", { sessionId: this.#key.id, tenant: this.#key.tenant, attempts: attemptsMax });
  }

  /** Somebody wrote to one of these records, or erases the same user. */
  async #newest(records: readonly SessionRecord[], outcome: Outcome): Promise<readonly SessionRecord[]> {
    const current = outcome.status === "conflict" ? outcome.current : undefined;
    // No look in between where there is no need: who writes without a break would always be ahead of it.
    if (current !== undefined && isSameKey(this.#key, current)) {
      this.#know(current);
      return records;
    }
    if (current !== undefined && records.some((record) => isSameKey(record, current)))
      return records.map((record) => (isSameKey(record, current) ? current : record));
    await this.#load();
    return (await this.#subject.core.findAll(records)).filter((record) => record !== undefined);
  }

  /** What is held stays; what was forked, or has become another's, is looked at anew. */
  #mayGo(kind: Kind, { hold, forkedAt, user }: SessionRecord): boolean {
    return hold === null && forkedAt === 0 && (kind !== "session" || user === null || user === this.#subject.user);
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
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      const progress = counted(this.#underWay(), "outbox", gone, 0);
      const outcome = await core.commit([this.#noted(progress, progressTtlMs)]);
      await this.#load();
      if (outcome.status === "ok") return;
    }
  }

  #noted(progress: Progress, ttlMs: number): ReturnType<typeof innerChange> {
    return innerChange(this.#subject.core, this.#key, this.#found, {
      metadata: progress as unknown as Metadata,
      ttlMs,
    });
  }

  async #finish({ held }: Traces): Promise<ErasureReceipt> {
    const { core, fallback, tenant } = this.#subject;
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      if (this.#progress?.receipt != null) return this.#progress.receipt;
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
        kept: progress.kept + this.#kept,
        scrubbed: core.store.capabilities.scrubs,
        hash: progress.hash,
      });
      const outcome = await core.commit([this.#noted({ ...progress, receipt }, receiptTtlMs)]);
      if (outcome.status === "ok") return receipt;
      await this.#load();
    }
    throw new SessionError("contended", { sessionId: this.#key.id, tenant: this.#key.tenant, attempts: attemptsMax });
  }
}

type Kind = "session" | "device" | "way" | "code" | "outbox";

function isSameKey(one: SessionKey, other: SessionKey): boolean {
  return one.tenant === other.tenant && one.id === other.id;
}

function isNothing({ sessions, held, devices, ways, outbox }: Traces): boolean {
  return sessions === held && devices === 0 && ways === 0 && outbox === 0;
}

function counted(progress: Progress, kind: Kind, records: readonly SessionRecord[], kept: number): Progress {
  const erased = records.reduce((counts, record) => plus(counts, kind, record), progress.erased);
  const hash = records.reduce(
    (before, { id, version }) =>
      createHash("sha256")
        .update(JSON.stringify([before, kind, id, version]))
        .digest("hex"),
    progress.hash,
  );
  return { ...progress, erased, hash, kept: progress.kept + kept };
}

function plus(counts: ErasedCounts, kind: Kind, record: SessionRecord): ErasedCounts {
  switch (kind) {
    case "device":
      return { ...counts, devices: counts.devices + 1 };
    case "way":
      return counts;
    case "code":
      return { ...counts, codes: counts.codes + 1 };
    case "outbox":
      return { ...counts, outbox: counts.outbox + 1 };
    case "session":
      return {
        ...counts,
        sessions: counts.sessions + 1,
        forks: counts.forks + (record.parent === null ? 0 : 1),
        archives: counts.archives + (record.archive === null ? 0 : 1),
        turns: counts.turns + headOf(record, "turns") - firstOwn(record, "turns") + 1,
        events: counts.events + headOf(record, "events"),
      };
  }
}
