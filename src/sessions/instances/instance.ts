import { keyText, type SessionKey } from "../../domain/record/entry.ts";
import type { Instance, Lease } from "../../domain/record/record.ts";
import { sortableId } from "../../domain/values/ids.ts";
import { leaseRuns, tokenHolder } from "../../domain/turns/leases.ts";
import type { Clock } from "../../clock.ts";
import type { Store } from "../../store/store.ts";
import { isLive } from "./liveness.ts";
import { ownIdentity, type ProcessIdentity } from "./process-identity.ts";

/**
 * This process among those that share the store: one heartbeat for all its leases, from the first lease on. It also
 * judges whether the instance behind a lease still lives.
 */
export class InstanceKeeper {
  readonly id: string;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #staleAfterMs: number;
  #self: Omit<Instance, "seenAt">;
  #beatAt = Number.NEGATIVE_INFINITY;
  #beating: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #lapses = 0;
  /** Called after a heartbeat that was late. */
  readonly onHeartbeatGap: Set<() => void> = new Set();
  /** Users of each lease in this process, by session and fence; a lease about to be taken counts. */
  readonly #uses = new Map<string, number>();
  /** The places in queues that callers of this process wait on: each may be granted a lease at any time. */
  readonly #tickets = new Set<string>();

  constructor({ store, clock, staleAfterMs }: { store: Store; clock: Clock; staleAfterMs: number }) {
    this.#store = store;
    this.#clock = clock;
    this.#staleAfterMs = staleAfterMs;
    this.id = `i_${sortableId(clock.now(), clock.random(16))}`;
    this.#self = { id: this.id, address: null, staleAfterMs, ...ownIdentity() };
  }

  /**
   * Publish the address of this host with its heartbeat: other hosts forward requests for its sessions there. A worker passes
   * the process of its host, because it ends with that process.
   */
  async announce(address: string, process: ProcessIdentity = ownIdentity()): Promise<void> {
    const before = this.#self;
    this.#self = { ...before, ...process, address };
    try {
      await this.#beating?.catch(() => undefined); // a heartbeat under way does not carry the address
      await this.#start();
    } catch (error) {
      this.#self = before; // a later heartbeat would publish the address of a host that did not start
      throw error;
    }
  }

  /** Write a heartbeat, unless a recent one exists; before a lease is taken. */
  async ensureAlive(): Promise<void> {
    if (this.#clock.now() - this.#beatAt >= this.#staleAfterMs / 3) await this.#start();
  }

  async #start(): Promise<void> {
    // After `leave`, no heartbeat and no timer.
    if (this.#closed) return;
    this.keepBeating();
    await this.#beat();
  }

  /** Write a heartbeat at intervals from now on. It is also the write that finds out whether a full store has room again. */
  keepBeating(): void {
    if (this.#closed) return;
    this.#timer ??= setInterval(() => void this.#beatQuietly(), this.#staleAfterMs / 3).unref();
  }

  /** Its last heartbeat is so old that other processes may take its leases. */
  get isLate(): boolean {
    return this.#clock.now() - this.#beatAt > this.#staleAfterMs;
  }

  /** How often it has been late. */
  get lapses(): number {
    return this.#lapses;
  }

  #beat(): Promise<void> {
    // The store counts from the moment of its write. The moment of the answer may be much later, and would hide a gap.
    const sentAt = this.#clock.now();
    this.#beating ??= this.#store
      .heartbeat(this.#self)
      .then(() => {
        const lapsed = this.isLate && this.#beatAt !== Number.NEGATIVE_INFINITY;
        this.#beatAt = sentAt;
        if (!lapsed) return;
        this.#lapses++;
        for (const listener of this.onHeartbeatGap) listener();
      })
      .finally(() => {
        this.#beating = undefined;
      });
    return this.#beating;
  }

  async #beatQuietly(): Promise<void> {
    try {
      if (!this.#closed) await this.#beat();
    } catch {
      // The next beat tries again. If all fail, the leases are lost, and the next write is fenced.
    }
  }

  /** Register a lease that is about to be taken, so that it does not count as abandoned. */
  use(key: SessionKey, fence: number): void {
    const text = leaseText(key, fence);
    this.#uses.set(text, (this.#uses.get(text) ?? 0) + 1);
  }

  /** Unregister a lease that was released, lost, or never granted. */
  disuse(key: SessionKey, fence: number): void {
    const text = leaseText(key, fence);
    const uses = (this.#uses.get(text) ?? 0) - 1;
    if (uses > 0) this.#uses.set(text, uses);
    else this.#uses.delete(text);
  }

  /** Register a place in a queue: a lease that is granted to it is in use. */
  expect(ticket: string): void {
    this.#tickets.add(ticket);
  }

  /** Unregister a place whose caller has taken the lease, or waits no longer. */
  expectNoMore(ticket: string): void {
    this.#tickets.delete(ticket);
  }

  /** True if a caller of this process waits for this lease. */
  expects({ ticket }: Pick<Lease, "ticket">): boolean {
    return ticket !== undefined && this.#tickets.has(ticket);
  }

  /** How many leases this process uses or is about to take. */
  get usesCount(): number {
    return this.#uses.size;
  }

  /**
   * True where the holder of a lease is alive. An instance knows the use of its own leases: an unused one is left from a
   * commit whose answer was lost.
   */
  async isAlive(key: SessionKey, lease: Lease): Promise<boolean> {
    const { now, instances } = await this.#store.instances([lease.instance]);
    if (!leaseRuns(lease, now)) return false;
    if (lease.instance === tokenHolder) return true;
    if (lease.instance === this.id) return this.#uses.has(leaseText(key, lease.fence)) || this.expects(lease);
    const holder = instances[0];
    return holder !== undefined && isLive(holder, { now, staleAfterMs: this.#staleAfterMs });
  }

  /** Whether an instance runs: this one does. */
  async runs(id: string): Promise<boolean> {
    if (id === this.id) return true;
    const { now, instances } = await this.#store.instances([id]);
    const [instance] = instances;
    return instance !== undefined && isLive(instance, { now, staleAfterMs: this.#staleAfterMs });
  }

  /** End the heartbeat, so that other processes need not wait until it is stale. */
  async leave(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#beating?.catch(() => undefined);
    if (this.#beatAt !== Number.NEGATIVE_INFINITY) await this.#store.heartbeat(this.#self, { leaving: true });
  }
}

function leaseText(key: SessionKey, fence: number): string {
  return `${keyText(key)} ${fence}`;
}
