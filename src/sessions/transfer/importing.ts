/** Imports many sessions: each as one change, many changes in a commit, and none of them twice. */
import type { Entry, LogName, SessionKey } from "../../domain/record/entry.ts";
import { countBegun, countSealed } from "../../domain/turns/counters.ts";
import { turnOf } from "../../domain/turns/turn.ts";
import { encode } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { guardWhole } from "../../domain/request/whole-conversation.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Lifetime } from "../../domain/values/duration.ts";
import type { Core } from "../core/core.ts";
import {
  madeIdPrefix,
  madeIds,
  portableConversation,
  steadyOf,
  type Conversation,
  type LeftOut,
} from "./conversation.ts";
import { codeOfFailure, endsPass, messageOfFailure } from "../core/pass-failures.ts";
import { DryRun } from "./dry-run.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { encodeCursor } from "../../store/cursor.ts";
import { ArrivingLogs } from "../core/staged-logs.ts";
import { checksumOf, sourceOf, turnsOf, type SessionSource } from "../snapshots/session-source.ts";
import { readSnapshot, type ReadSnapshot } from "../snapshots/snapshot-reader.ts";
import { arrived, replaceable, restoredSession, standing, type ArrivedSession } from "./snapshots.ts";
import { SessionMoved, storedSession, type StoredSession } from "./stored-session.ts";
import { inWindows, type WindowMax } from "./batches.ts";
import { parseOneOf } from "../options/arguments.ts";

/** A session that comes from elsewhere. */
export interface Arrival {
  readonly key: SessionKey;
  readonly source: SessionSource;
}

/** The fate of a session: `present` where the same session exists, `grown` where its new turns were added to it. */
export type Arrived = "restored" | "present" | "replaced" | "grown";

/** How to treat another session with the same key. */
export interface ArrivalPolicy {
  /** True where the existing session counts as the same. */
  readonly isSame: (existing: SessionSource, arriving: SessionSource) => Promise<boolean>;
  /** How the arriving session takes the place of the existing one; undefined where it does not. */
  readonly replaces: (existing: SessionSource, arriving: SessionSource) => Promise<"replaced" | "grown" | undefined>;
  /** True for the record of an earlier state of the arriving session, which replaces it, also under a legal hold. */
  readonly isEarlier?: (existing: SessionRecord) => boolean;
  /** True for sessions of a copied store, whose retention goes on. @default false */
  readonly isCopy?: boolean;
  /** The commit id of the written record. @default the commit's own */
  readonly mark?: string;
  /** Only report what would happen. */
  readonly dryRun: boolean;
}

/** The existing session may change this often while it is compared. */
const attemptsMax = 20;

/** True for the same session, byte for byte. Of sessions with other headers no log is read. */
export async function isIdentical(existing: SessionSource, arriving: SessionSource | ReadSnapshot): Promise<boolean> {
  if (encode(existing.record) !== encode(arriving.record)) return false;
  const { checksum } = "checksum" in arriving ? arriving : await checksumOf(arriving);
  return (await checksumOf(existing)).checksum === checksum;
}

/** True for the same conversation: its messages, instructions, metadata and user, whatever its times and its title. */
export async function saysTheSame(existing: SessionSource, arriving: SessionSource): Promise<boolean> {
  const [one, other] = [existing, arriving].map(({ record }) => record.counters.turns);
  return one === other && (await hasGrown(existing, arriving));
}

/** True where the arriving conversation begins with all of the existing one. */
export async function hasGrown(existing: SessionSource, arriving: SessionSource): Promise<boolean> {
  const [one, other] = [existing, arriving].map(({ record: { user, metadata } }) =>
    encode({ user, metadata: steadyOf(metadata) }),
  );
  if (one !== other || (await instructionsOf(existing)) !== (await instructionsOf(arriving))) return false;
  return await continues(existing, arriving, (turn, later) => turn.data === later.data);
}

/** The last instructions of a session, as they are stored. */
async function instructionsOf(source: SessionSource): Promise<string | undefined> {
  if (source.inMemory !== undefined) return source.inMemory.logs.get("instructions")?.at(-1)?.data;
  let last: string | undefined;
  for await (const { log, entry } of source.entries()) if (log === "instructions") last = entry.data;
  return last;
}

/** True where the existing session is a beginning of the arriving one: an earlier copy, which the other has continued. */
export async function isBehind(existing: SessionSource, arriving: SessionSource): Promise<boolean> {
  const { lastActivityAt, openTurn } = existing.record;
  if (lastActivityAt > arriving.record.lastActivityAt) return false;
  // The open turn, which is the last one, was in progress.
  return await continues(
    existing,
    arriving,
    (turn, later) => turn.seq === openTurn || (turn.data === later.data && turn.key === later.key),
  );
}

/** True where each turn of one session agrees with the turn of the same number in the other one. */
async function continues(
  one: SessionSource,
  other: SessionSource,
  agrees: (turn: Entry, later: Entry) => boolean,
): Promise<boolean> {
  const later = turnsOf(other);
  try {
    for await (const turn of turnsOf(one)) {
      const next = await later.next();
      if (next.done === true || !agrees(turn, next.value)) return false;
    }
    return true;
  } finally {
    await later.return();
  }
}

/**
 * Puts one session where it belongs, unless it is there.
 * @returns its fate, the session where one was written, and the turns that a grown session had before
 * @throws SessionError `session_exists` where another session exists that may not be replaced, `busy`, `contended`, the store's
 */
export async function arrive(
  core: Core,
  arrival: Arrival,
  policy: ArrivalPolicy,
): Promise<{
  readonly arrived: Arrived;
  readonly session?: ArrivedSession | undefined;
  readonly turnsBefore?: number;
}> {
  const { key, source } = arrival;
  await core.learnTime();
  await using arriving = new ArrivingLogs(core, key, source.record.user);
  let session: ArrivedSession | undefined;
  // Most sessions are new and written at once; an existing one is found on the way. A large one is not staged in vain.
  let found = policy.dryRun || source.inMemory === undefined ? (await core.find(key))?.record : undefined;
  return await retryOnConflict({ sessionId: key.id, tenant: key.tenant, attemptsMax }, async () => {
    const isEarlier = found !== undefined && policy.isEarlier?.(found) === true;
    const judged: Judged = found === undefined ? "restored" : await judge(core, arrival, { ...policy, isEarlier });
    if (judged === "moved") {
      found = (await core.find(key))?.record;
      return undefined;
    }
    const grown = typeof judged === "object" ? judged : undefined;
    const fate = grown === undefined ? (judged as Arrived) : "grown";
    const before = defined({ turnsBefore: grown?.existing.record.counters.turns });
    if (fate === "present" || policy.dryRun) return { arrived: fate, ...before };
    const isLater = isEarlier || grown !== undefined;
    const replaced = found && (await replaceable(core, found, { isLater }));
    // A session that has grown is read again at each attempt: its writers go on.
    await using growing = grown && new ArrivingLogs(core, key, source.record.user);
    const next =
      grown === undefined
        ? (session ??= await arrived(arriving, source))
        : await unlessMoved(grown.existing, async () => {
            const merged = await withNewTurns(grown.existing, source);
            return await arrived(growing!, merged);
          });
    if (next === undefined) {
      found = (await core.find(key))?.record;
      return undefined;
    }
    const place = { key, found: replaced, isLater, ...defined({ isCopy: policy.isCopy }) };
    const outcome = await core.commit(await restoredSession(core, next, place), policy.mark);
    if (outcome.status === "ok") {
      (growing ?? arriving).taken();
      return { arrived: fate, session: next, ...before };
    }
    found = await standing(core, key, outcome);
    return undefined;
  });
}

/** The fate of an arriving session, the existing one where it has grown, or `moved` where that changed meanwhile. */
type Judged = Exclude<Arrived, "grown"> | "moved" | { readonly existing: StoredSession };

/** The fate beside the existing session. @throws SessionError `session_exists` */
async function judge(
  core: Core,
  { key, source }: Arrival,
  policy: Omit<ArrivalPolicy, "isEarlier"> & { readonly isEarlier: boolean },
): Promise<Judged> {
  let existing: StoredSession;
  try {
    existing = await storedSession(core, key);
  } catch (error) {
    if (hasCode(error, "session_not_found")) return "restored"; // it was removed meanwhile
    throw error;
  }
  const judged = await unlessMoved(existing, async (): Promise<Judged | "other"> => {
    if (await policy.isSame(existing, source)) return "present";
    const fate = policy.isEarlier ? "replaced" : await policy.replaces(existing, source);
    return fate === "grown" ? { existing } : (fate ?? "other");
  });
  if (judged === "other") throw new SessionError("session_exists", sessionIds(existing.stored));
  return judged ?? "moved";
}

/** The result of reading an existing session; undefined where that changed meanwhile. */
async function unlessMoved<Result>(existing: StoredSession, read: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof SessionMoved && error.session === existing.stored) return undefined;
    throw error;
  }
}

/** The existing session, with the turns that only the arriving one has behind its own. */
async function withNewTurns(existing: SessionSource, arriving: SessionSource): Promise<SessionSource> {
  const { counters: before, lastActivityAt } = existing.record;
  const added: Entry[] = [];
  for await (const turn of turnsOf(arriving)) if (turn.seq > before.turns) added.push(turn);
  const counters = added.map(turnOf).reduce((sum, turn) => countSealed(countBegun(sum, turn), turn), before);
  const turns = added.map((entry) => ({ log: "turns", entry }));
  return {
    record: {
      ...existing.record,
      counters,
      metadata: { ...existing.record.metadata, ...arriving.record.metadata },
      lastActivityAt: Math.max(lastActivityAt, arriving.record.lastActivityAt),
    },
    inMemory: undefined,
    entries: async function* () {
      // The entries of one log stand together.
      let isAdded = false;
      let log: LogName | undefined;
      for await (const logged of existing.entries()) {
        if (!isAdded && log === "turns" && logged.log !== log) {
          isAdded = true;
          yield* turns;
        }
        ({ log } = logged);
        yield logged;
      }
      if (!isAdded) yield* turns;
    },
  };
}

/**
 * An item to import: the text of a snapshot, a conversation of another program, or the error that prevented reading it. `source` is
 * its name in the report.
 */
export type ImportItem =
  | { readonly source?: string; readonly text: string }
  /** `size`: its bytes in the file, which bound what is in memory at the same time. */
  | { readonly source: string; readonly conversation: Conversation; readonly size?: number }
  /** `count`: the items of a file that have this error; one without it. */
  | { readonly source: string; readonly error: SessionError; readonly count?: number };

/** How to import. */
export interface ImportOptions {
  /** Only report what would happen. @default false */
  readonly dryRun?: boolean;
  /** How to treat a session that exists: leave it, or replace it. @default "skip" */
  readonly onExists?: "skip" | "replace";
  /** The agent of conversations without one. @default as for a new session */
  readonly agent?: string;
  /** The time to live of the sessions of conversations, from the import. @default "never" */
  readonly ttl?: Lifetime;
  /** Called after each commit. */
  readonly onProgress?: (report: ImportReport) => void;
}

/** The result of an import, or of its dry run. */
export interface ImportReport {
  readonly restored: number;
  /** Existed already, the very same. */
  readonly present: number;
  /** Conversations that existed and had new turns, which were added. */
  readonly grown: number;
  readonly replaced: number;
  /** New turns of the restored, grown and replaced sessions. */
  readonly turns: number;
  /** Parts of messages that no model is sent, such as sources and reasoning: they are kept beside the content. */
  readonly aside: number;
  /** How many things of each kind have no place in a session and were not imported: `{ branch: 1, attachment: 2 }`. */
  readonly leftOut: LeftOut;
  /** The first hundred conversations of which something was left out. */
  readonly incomplete: readonly IncompleteItem[];
  readonly skipped: number;
  /** The reasons for the first hundred of them. */
  readonly reasons: readonly SkippedItem[];
}

/** An item that was not imported, and the reason. */
export interface SkippedItem {
  readonly source: string;
  readonly code: string;
  readonly message: string;
}

/** A conversation of which something was not imported. */
export interface IncompleteItem {
  readonly source: string;
  /** The id of its session. */
  readonly id: string;
  readonly leftOut: LeftOut;
}

/** The sessions, or the characters of their texts, that are under way at the same time. */
export const windowMax: WindowMax = { count: 64, size: 1024 * 1024 };
const reasonsMax = 100;
/** A file with more items that cannot be read is no file of sessions, and the import ends. */
const unreadableMax = 10_000;

/** Counts the items that were left out, and keeps the first reasons. */
export class Skipped {
  #count = 0;
  readonly #reasons: SkippedItem[] = [];

  add(source: string, error: unknown, count = 1): void {
    this.#count += count;
    const [code, message] = [codeOfFailure(error), messageOfFailure(error)];
    if (this.#reasons.length < reasonsMax) this.#reasons.push({ source, code, message });
  }

  get report(): Pick<ImportReport, "skipped" | "reasons"> {
    return { skipped: this.#count, reasons: [...this.#reasons] };
  }
}

/**
 * Import items in bounded memory. An item that fails is in the report, and the import continues with the others.
 * @throws SessionError the store's, where it fails, and `snapshot_invalid` where more than {@link unreadableMax} items
 *   cannot be read; what was imported by then stays, and importing again continues
 */
export async function importAll(
  core: Core,
  items: AsyncIterable<ImportItem | string> | Iterable<ImportItem | string>,
  { onProgress, ...options }: ImportOptions & { readonly tenant: string },
): Promise<ImportReport> {
  core.guardOpen();
  // A conversation is made into a session of this moment before the store is looked at for it.
  await core.learnTime();
  const run = new ImportRun(core, options);
  await inWindows(items, { max: windowMax, sizeOf }, async (window) => {
    await run.take(window);
    onProgress?.(run.report);
  });
  return run.report;
}

function sizeOf(one: ImportItem | string): number {
  if (typeof one === "string") return one.length;
  if (!isItem(one)) return 0;
  return "text" in one ? one.text.length : "conversation" in one ? (one.size ?? 0) : 0;
}

type NamedItem = ImportItem & { readonly source: string };

/** An item, and the id of a conversation that names none. */
interface CheckedItem {
  readonly item: NamedItem;
  readonly made?: MadeId;
}

/** One import: what it has done so far, and the ids that it has made. */
class ImportRun {
  readonly #core: Core;
  readonly #options: Omit<ImportOptions, "onProgress"> & { readonly tenant: string };
  readonly #replacesOthers: boolean;
  readonly #skipped = new Skipped();
  readonly #counts = { restored: 0, present: 0, grown: 0, replaced: 0, turns: 0, aside: 0 };
  readonly #leftOut = new Map<string, number>();
  readonly #incomplete: IncompleteItem[] = [];
  /** How many conversations of this import have each made id. */
  readonly #made = new Map<string, number>();
  /** True where an earlier import has made ids in this tenant. */
  #hasMadeBefore: Promise<boolean> | undefined;
  readonly #dryRun = new DryRun();
  #taken = 0;
  #unreadable = 0;

  constructor(core: Core, options: Omit<ImportOptions, "onProgress"> & { readonly tenant: string }) {
    this.#core = core;
    this.#options = options;
    this.#replacesOthers = parsePolicy(options.onExists ?? "skip") === "replace";
  }

  get report(): ImportReport {
    return {
      ...this.#counts,
      leftOut: Object.fromEntries(this.#leftOut),
      incomplete: [...this.#incomplete],
      ...this.#skipped.report,
    };
  }

  async take(window: readonly (ImportItem | string)[]): Promise<void> {
    const taken = window.map((one): NamedItem => {
      const source = `item ${++this.#taken}`;
      if (typeof one === "string") return { source, text: one };
      if (isItem(one)) return { source, ...one };
      return { source, error: invalidArgument(source, one, { expected: "conversation" }) };
    });
    // The numbers of equal conversations are those of their order in the file.
    const checked = taken.map((item) => this.#checked(item));
    const failures = await this.#failuresOf(checked);
    failures.forEach((failure, index) => {
      const item = taken[index]!;
      if (failure !== undefined) this.#skipped.add(item.source, failure.error, "count" in item ? item.count : 1);
    });
  }

  /** The failures of the items of a window. Those of one conversation are taken in the order of the file. */
  async #failuresOf(checked: readonly CheckedItem[]): Promise<readonly ({ readonly error: unknown } | undefined)[]> {
    const last = new Map<string, Promise<unknown>>();
    return await Promise.all(
      checked.map(({ item, made }) => {
        const name =
          this.#options.dryRun === true ? "" : "conversation" in item && (item.conversation.id ?? made?.ids[0]);
        if (typeof name !== "string") return this.#failureOf(item, made);
        const failure = (last.get(name) ?? Promise.resolve()).then(() => this.#failureOf(item, made));
        last.set(
          name,
          failure.catch(() => undefined),
        );
        return failure;
      }),
    );
  }

  /** The item, or the error of a conversation that is not whole, and the id of one that names none. */
  #checked(item: NamedItem): CheckedItem {
    if (!("conversation" in item)) return { item };
    const { source, conversation } = item;
    try {
      guardWhole(conversation.messages, source);
      return { item, ...defined({ made: this.#numberOf(conversation) }) };
    } catch (error) {
      if (!(error instanceof SessionError)) throw error;
      return { item: { source, error } };
    }
  }

  /** Undefined where the item was imported. */
  async #failureOf(item: NamedItem, made: MadeId | undefined): Promise<{ readonly error: unknown } | undefined> {
    try {
      if ("error" in item) throw item.error;
      await ("text" in item ? this.#snapshot(item) : this.#conversation(item, made));
      return undefined;
    } catch (error) {
      if (endsPass(error)) throw error;
      if (isUnreadable(error) && ++this.#unreadable > unreadableMax) throw tooManyUnreadable(item.source);
      return { error };
    }
  }

  async #snapshot({ text, source: name }: NamedItem & { readonly text: string }): Promise<void> {
    const source = await readSnapshot(text, { source: name, limits: this.#core.options.limits });
    await this.#arrive(source, {
      isSame: isIdentical,
      replaces: async () => (this.#replacesOthers ? "replaced" : undefined),
    });
  }

  async #conversation(
    { conversation, source: name }: NamedItem & { readonly conversation: Conversation },
    made: MadeId | undefined,
  ): Promise<void> {
    const { agent, ttl = "never" } = this.#options;
    const id = conversation.id ?? (await this.#idOf(made!));
    const source = sourceOf(portableConversation(this.#core, conversation, { id, agent, ttl }));
    const fate = await this.#arrive(source, {
      isSame: saysTheSame,
      replaces: async (existing, arriving) => {
        if (await hasGrown(existing, arriving)) return "grown";
        return this.#replacesOthers ? "replaced" : undefined;
      },
    });
    if (fate === "present") return;
    const { aside = 0, leftOut = {} } = conversation;
    this.#counts.aside += aside;
    const kinds = Object.entries(leftOut).filter(([, count]) => count > 0);
    for (const [kind, count] of kinds) this.#leftOut.set(kind, (this.#leftOut.get(kind) ?? 0) + count);
    if (kinds.length > 0 && this.#incomplete.length < reasonsMax)
      this.#incomplete.push({ source: name, id, leftOut: Object.fromEntries(kinds) });
  }

  async #arrive(source: SessionSource, policy: Pick<ArrivalPolicy, "isSame" | "replaces">): Promise<Arrived> {
    const { tenant, dryRun = false } = this.#options;
    const key = { tenant, id: parseNewId(source.record.id, "sessionId") };
    const met = dryRun ? await this.#metInDryRun(source) : undefined;
    const { arrived: fate, turnsBefore = 0 } =
      met ?? (await arrive(this.#core, { key, source }, { ...policy, dryRun }));
    if (dryRun) await this.#dryRun.write(source);
    this.#counts[fate]++;
    if (fate !== "present") this.#counts.turns += source.record.counters.turns - turnsBefore;
    return fate;
  }

  /** The fate beside a session that this dry run would have written before. @throws SessionError `session_exists` */
  async #metInDryRun(
    source: SessionSource,
  ): Promise<{ readonly arrived: Arrived; readonly turnsBefore?: number } | undefined> {
    const met = await this.#dryRun.compare(source);
    if (met === undefined) return undefined;
    if (met.relation === "same") return { arrived: "present" };
    if (met.relation === "grown") return { arrived: "grown", turnsBefore: met.turns };
    if (this.#replacesOthers) return { arrived: "replaced" };
    throw new SessionError("session_exists", { sessionId: source.record.id, tenant: this.#options.tenant });
  }

  #numberOf(conversation: Conversation): MadeId | undefined {
    if (conversation.id !== undefined) return undefined;
    const ids = madeIds(conversation);
    const whole = ids.at(-1)!;
    const number = (this.#made.get(whole) ?? 0) + 1;
    this.#made.set(whole, number);
    return { ids, number };
  }

  /** The id of a conversation that names none: its own, or that of the beginning that an earlier import has found. */
  async #idOf({ ids, number }: MadeId): Promise<string> {
    const whole = ids.at(-1)!;
    if (number > 1) return `${whole}-${number}`;
    this.#hasMadeBefore ??= hasMadeIds(this.#core, this.#options.tenant);
    if (ids.length === 1 || !(await this.#hasMadeBefore)) return whole;
    // The longest first. The sessions of this import's own conversations are no beginnings of others.
    const earlier = ids.filter((id) => !this.#made.has(id)).slice(-beginningsMax);
    const candidates = [whole, ...earlier.toReversed()];
    const { tenant } = this.#options;
    const found = await this.#core.findAll(candidates.map((id) => ({ tenant, id })));
    return candidates.find((_, index) => found[index] !== undefined) ?? whole;
  }
}

/** The ids of the beginnings of a conversation, and its number among the equal conversations of one import. */
interface MadeId {
  readonly ids: readonly [string, ...string[]];
  readonly number: number;
}

/** A conversation that has grown by more turns than this since the last import is a new one. */
const beginningsMax = 512;

async function hasMadeIds(core: Core, tenant: string): Promise<boolean> {
  const after = encodeCursor([tenant, madeIdPrefix]);
  const { records } = await core.store.find({ tenant, now: core.now(), order: "key", after, limit: 1 });
  return records[0]?.id.startsWith(madeIdPrefix) === true;
}

/** Callers without types pass anything. */
function isItem(one: unknown): one is ImportItem {
  if (typeof one !== "object" || one === null) return false;
  const { text, conversation, error } = one as { readonly [Field in "text" | "conversation" | "error"]?: unknown };
  return typeof text === "string" || (typeof conversation === "object" && conversation !== null) || error !== undefined;
}

function isUnreadable(error: unknown): boolean {
  return hasCode(error, "snapshot_invalid") || hasCode(error, "message_invalid");
}

function tooManyUnreadable(source: string): SessionError<"snapshot_invalid"> {
  return new SessionError("snapshot_invalid", {
    source,
    path: "the import",
    expected: "readable_items",
    max: unreadableMax,
  });
}

/** @throws SessionError `argument_invalid` */
function parsePolicy(onExists: NonNullable<ImportOptions["onExists"]>): typeof onExists {
  return parseOneOf(onExists, "onExists", ["skip", "replace"]);
}
