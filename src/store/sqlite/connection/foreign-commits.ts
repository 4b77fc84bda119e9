import type { DatabaseSync, StatementSync } from "node:sqlite";
import { isNewsKey } from "../../news.ts";
import type { Watchers } from "../../watchers.ts";

/**
 * The interval of the checks, ms: `shortest` after a commit of another connection, then longer by `factor` each. A
 * comparison takes some microseconds for each watched session, so the interval is at least `perSession` for each.
 */
const checkMs = { shortest: 4, factor: 1.2, longest: 50, perSession: 0.1 };

/**
 * Wakes the watchers of sessions that another connection, most often of another process, has changed. SQLite does not
 * notify, so a timer asks it for `data_version`, which changes with every commit of another connection; only then are the
 * versions of the watched sessions compared. The timer runs while there are watchers, and keeps no process alive.
 */
export class ForeignCommits {
  readonly #database: DatabaseSync;
  readonly #watchers: Watchers;
  readonly #dataVersion: StatementSync;
  #version: StatementSync | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pauseMs: number = checkMs.shortest;
  #lastDataVersion: unknown;
  /** The versions that the last comparison found, by the texts of the keys. */
  #versions: ReadonlyMap<string, string> = new Map();

  constructor(database: DatabaseSync, watchers: Watchers) {
    this.#database = database;
    this.#watchers = watchers;
    this.#dataVersion = database.prepare("select data_version from pragma_data_version");
  }

  /** Checks until there is no watcher. A commit after this call is found. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#hasMoved();
    this.#pauseMs = checkMs.shortest;
    this.#timer = setTimeout(() => this.#check(), this.#pauseMs).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#versions = new Map();
  }

  #check(): void {
    if (this.#watchers.size === 0) {
      this.stop();
      return;
    }
    if (this.#hasMoved()) {
      this.#pauseMs = checkMs.shortest;
      this.#compare();
    } else {
      this.#pauseMs = Math.min(this.#pauseMs * checkMs.factor, checkMs.longest);
    }
    const pauseMs = Math.max(this.#pauseMs, checkMs.perSession * this.#watchers.size);
    this.#timer = setTimeout(() => this.#check(), pauseMs).unref();
  }

  /** True if another connection has committed since the last call. */
  #hasMoved(): boolean {
    const before = this.#lastDataVersion;
    try {
      this.#lastDataVersion = this.#dataVersion.get()?.["data_version"];
    } catch {
      // The file is locked or damaged. Each watcher also polls, and its next poll reports what is wrong.
    }
    return this.#lastDataVersion !== before;
  }

  /** Wakes the watchers of each session whose version differs from the last comparison, or was not compared before. */
  #compare(): void {
    const versions = new Map<string, string>();
    try {
      this.#version ??= this.#database.prepare(
        "select version || ' ' || commit_id as version from sessions where tenant = ? and id = ?",
      );
      // Each commit may be of any tenant.
      for (const [text, key] of this.#watchers.watched())
        versions.set(
          text,
          String(isNewsKey(key) ? this.#lastDataVersion : this.#version.get(key.tenant, key.id)?.["version"]),
        );
    } catch {
      return; // as above
    }
    const known = this.#versions;
    this.#versions = versions;
    for (const [text, version] of versions) if (known.get(text) !== version) this.#watchers.wake(text);
  }
}
