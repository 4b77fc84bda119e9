import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { SessionError } from "../errors.ts";
import type {
  FollowOptions,
  KeyRange,
  KeyRangeOptions,
  LogEntry,
  LogEntryRange,
  SessionInfo,
  SessionLog,
} from "../index.ts";
import { toJson } from "../protocol/json.ts";
import { logEntryOfWire, type WireLogEntry } from "../protocol/written.ts";
import type { Http, HttpRequest } from "./http.ts";
import { batchesOf } from "./key-batches.ts";
import { resumeEvents } from "./resume-events.ts";

/** A page of a named log. */
interface EntryPage {
  readonly items: readonly LogEntry[];
  /** The number or the key of the last entry; absent on the last page. */
  readonly next?: number | string;
}

type NumberQuery = { readonly [Name in keyof LogEntryRange]: LogEntryRange[Name] | undefined };

/** The session of a log: its path, and what its object has loaded. */
interface LogOwner {
  readonly path: string;
  readonly info: () => SessionInfo;
}

const rangeNames: OptionNames<LogEntryRange> = { from: true, to: true, last: true, order: true };
const keyRangeNames: OptionNames<{ from: string; to: string; prefix: string }> = { from: true, to: true, prefix: true };
const keyOptionNames: OptionNames<KeyRangeOptions> = { order: true, limit: true };
const followNames: OptionNames<FollowOptions> = { after: true, signal: true };

/** The server gives at most so many entries at once. */
const pageMax = 500;

/** A named log of a session, over HTTP. */
export class RemoteLog implements Pick<SessionLog, keyof SessionLog> {
  readonly name: string;
  readonly #http: Http;
  readonly #path: string;
  readonly #owner: LogOwner;

  /** Made by `RemoteSession.log`. @internal */
  constructor(http: Http, owner: LogOwner, name: string) {
    this.#http = http;
    this.#owner = owner;
    this.name = name;
    this.#path = `${owner.path}/logs/${encodeURIComponent(name)}`;
  }

  /**
   * The entries by their numbers, page by page as the server divides them.
   * @throws SessionError as a local log; `request_invalid` for an invalid range
   */
  async *entries(range: LogEntryRange = {}): AsyncGenerator<LogEntry, void, undefined> {
    guardNames(range, "range", rangeNames);
    const { from, to, last, order } = range;
    let left = last ?? Infinity;
    let page = await this.#page({ from, to, last, order });
    for (;;) {
      for (const entry of page.items) {
        // Entries written meanwhile do not belong to the last ones that were asked for.
        if (left-- <= 0) return;
        yield entry;
      }
      const before = page.items.at(-1);
      if (page.next === undefined || before === undefined || left <= 0) return;
      page = await this.#pageAfter(before, { from, to, order });
    }
  }

  /** The entries with these keys, by number. @throws SessionError `id_invalid` */
  async get(keys: readonly string[]): Promise<readonly LogEntry[]> {
    const found: LogEntry[] = [];
    for (const key of batchesOf(keys)) {
      let page = await this.#page({ key });
      found.push(...page.items);
      while (page.next !== undefined) {
        page = await this.#page({ key, after: page.next });
        found.push(...page.items);
      }
    }
    return found.toSorted((one, other) => one.seq - other.seq);
  }

  /**
   * The entries by a range of their keys, in the order of the keys, page by page. An entry that is in the log all the time comes once,
   * whatever is written meanwhile.
   * @throws SessionError as a local log; `request_invalid` for an invalid range
   */
  async *between(range: KeyRange, options: KeyRangeOptions = {}): AsyncGenerator<LogEntry, void, undefined> {
    guardNames(range, "range", keyRangeNames);
    guardNames(options, "options", keyOptionNames);
    const { order, limit = Infinity } = options;
    const { from: fromKey, to: toKey, prefix } = range as Partial<Record<"from" | "to" | "prefix", string>>;
    const isWhole = fromKey === undefined && toKey === undefined;
    const query = { fromKey, toKey, prefix: prefix ?? (isWhole ? "" : undefined) };
    let left = limit;
    let after: number | string | undefined;
    do {
      const page = await this.#page({ ...query, order, limit: Math.min(left, pageMax), after });
      yield* page.items;
      left -= page.items.length;
      after = page.next;
    } while (after !== undefined && left > 0);
  }

  /**
   * The entries after number `after`, also those that any process writes later, in order and each once: a connection that breaks
   * is resumed at whichever instance answers. It ends with the session's life, or by `signal`.
   * @throws SessionError as a local log; `store_unavailable` if the server stays away
   */
  async *follow(options: FollowOptions = {}): AsyncGenerator<LogEntry, void, undefined> {
    guardNames(options, "options", followNames);
    const { after, signal } = options;
    const request = { method: "GET", path: `${this.#path}/follow`, query: { after }, signal } as const;
    for await (const { event, data } of resumeEvents(this.#http, request, { continues: () => Promise.resolve(true) })) {
      if (event === "done") return;
      if (event === "entry") yield logEntryOfWire(this.name, data as WireLogEntry);
    }
  }

  async #page(query: NonNullable<HttpRequest["query"]>): Promise<EntryPage> {
    const { body } = await this.#http.ask({ method: "GET", path: this.#path, query });
    const { items, ...rest } = body as { readonly items: readonly WireLogEntry[]; readonly next?: number | string };
    return { ...rest, items: items.map((entry) => logEntryOfWire(this.name, entry)) };
  }

  /** The page behind an entry, which must be in the log still. @throws SessionError `conflict` */
  async #pageAfter(before: LogEntry, { from, to, order }: NumberQuery): Promise<EntryPage> {
    const { seq } = before;
    const { items, ...rest } = await this.#page({
      ...(order === "descending" ? { from, to: seq } : { from: seq, to }),
      order,
    });
    const [again, ...others] = items;
    if (again === undefined || toJson(again) !== toJson(before)) throw this.#rewritten();
    // The entry itself may fill a page.
    if (others.length > 0 || rest.next === undefined) return { ...rest, items: others };
    return await this.#page({ from, to, order, after: seq });
  }

  #rewritten(): SessionError {
    const { id: sessionId, tenant, version: seenVersion } = this.#owner.info();
    return new SessionError("conflict", { sessionId, tenant, log: this.name, seenVersion });
  }
}
