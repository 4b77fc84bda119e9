import { createHash } from "node:crypto";
import { sessionChanges, type Transaction } from "../../domain/record/change.ts";
import { keyText } from "../../domain/record/entry.ts";
import { newsKey, newsTenant } from "../news.ts";
import type { Outcome } from "../store.ts";
import type { Watchers } from "../watchers.ts";
import type { Database } from "./connection/database.ts";
import { untilLate, type OwnClient } from "./connection/pool.ts";

/** Pauses before the connection that listens is opened again: the first and the longest, ms. */
const pauseMs = { first: 100, longest: 30_000 };
/** A notification holds 8000 bytes; a name of 16 characters and a comma each fit. */
const namesMax = 450;
/** `close` gives up a connection that does not end within this time, ms. */
const endMs = 2000;

interface Options {
  readonly database: Database;
  /** Distinguishes the schema from others of the same database. */
  readonly schema: string;
  readonly watchers: Watchers;
  readonly openClient: () => OwnClient;
}

/**
 * Notifies other instances of the sessions and tenants that have changed, and receives their notifications. A hint may be lost:
 * nothing depends on it. A payload holds hashes, because every user of the database may listen. A notification within
 * the commit would make all commits of the database wait for each other, so it follows the commit, for many sessions at
 * a time.
 */
export class Hints {
  readonly #database: Database;
  readonly #channel: string;
  readonly #watchers: Watchers;
  readonly #openClient: () => OwnClient;
  #unsaid = new Set<string>();
  #saying = false;
  #client: OwnClient | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor({ database, schema, watchers, openClient }: Options) {
    this.#database = database;
    this.#channel = `perdure_${hash(schema)}`;
    this.#watchers = watchers;
    this.#openClient = openClient;
  }

  /** Notifies of the transactions of a batch that landed, without a wait for the database. */
  say(batch: readonly Transaction[], outcomes: readonly Outcome[]): void {
    const tenants = new Set<string>();
    batch.forEach((transaction, index) => {
      if (outcomes[index]?.status !== "ok") return;
      for (const { key } of sessionChanges(transaction)) this.#unsaid.add(hash(keyText(key)));
      for (const change of transaction) tenants.add(newsTenant(change));
    });
    for (const tenant of tenants) this.#unsaid.add(hash(keyText(newsKey(tenant))));
    if (this.#unsaid.size > 0) void this.#sayAll();
  }

  async #sayAll(): Promise<void> {
    if (this.#saying) return;
    this.#saying = true;
    while (this.#unsaid.size > 0) {
      const names = [...this.#unsaid];
      this.#unsaid = new Set();
      try {
        const payload = names.length > namesMax ? "*" : names.join(",");
        await this.#database.askOnce("select pg_notify($1, $2)", [this.#channel, payload]);
      } catch {
        // The next poll of each watch finds the change.
      }
    }
    this.#saying = false;
  }

  /** Listens, from the first watch on, for as long as the store is open. */
  listen(): void {
    if (this.#client !== undefined || this.#timer !== undefined || this.#closed) return;
    void this.#connect(pauseMs.first);
  }

  async #connect(pause: number): Promise<void> {
    const client = this.#openClient();
    this.#client = client;
    let lost = false;
    const again = (): void => {
      if (lost) return;
      lost = true;
      this.#client = undefined;
      client.end().catch(() => undefined);
      if (this.#closed) return;
      this.#timer = setTimeout(
        () => {
          this.#timer = undefined;
          void this.#connect(Math.min(pause * 2, pauseMs.longest));
        },
        pause * (0.5 + Math.random() / 2),
      ).unref();
    };
    client.on("error", again);
    client.on("end", again);
    client.on("notification", ({ payload }) => this.#received(payload ?? ""));
    try {
      await client.connect();
      await client.query(`listen ${this.#channel}`);
      // `close` holds the process until the connection has ended.
      if (!this.#closed) client.unref();
      pause = pauseMs.first;
      this.#watchers.wakeAll(); // this connection missed the notifications before it
    } catch {
      again();
    }
  }

  #received(payload: string): void {
    if (payload === "*") {
      this.#watchers.wakeAll();
      return;
    }
    const names = new Set(payload.split(","));
    for (const [text] of this.#watchers.watched()) if (names.has(hash(text))) this.#watchers.wake(text);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const client = this.#client;
    if (client === undefined) return;
    // The process stays open until the connection has ended: with an unreferenced socket, `end` would never settle.
    client.ref();
    await untilLate(
      client.end().catch(() => undefined),
      endMs,
    );
    client.unref();
  }
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
