/** Imports many sessions: each as one change, many changes in a commit, and none of them twice. */
import { defined } from "../../domain/values/defined.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { guardWhole } from "../../domain/request/whole-conversation.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { parseLifetime, type Lifetime } from "../../domain/values/duration.ts";
import { withAttachments } from "../attachments/carried.ts";
import type { Core } from "../core/core.ts";
import {
  futureTimes,
  idsOfBeginnings,
  branchIds,
  firstBranchOf,
  madeIdPrefix,
  madeIds,
  portableConversation,
  type Conversation,
  type LeftOut,
} from "./conversation.ts";
import { codeOfFailure, endsPass, messageOfFailure } from "../core/pass-failures.ts";
import { DryRun } from "./dry-run.ts";
import { entryBytes } from "../../store/within-bytes.ts";
import { encodeCursor } from "../../store/cursor.ts";
import { snapshotPieces, sourceOf, type SessionSource } from "../snapshots/session-source.ts";
import { readSnapshot } from "../snapshots/snapshot-reader.ts";
import { arrive, isIdentical, standingDigest, type Arrived, type ArrivalPolicy, type Fate } from "./arriving.ts";
import { digestOf, withField, type Digest } from "./comparison.ts";
import { BranchSessions, type ForkedBranch } from "./forked-branches.ts";
import { compared, type Comparison, type Merge } from "./merge.ts";
import { inGroups, inWindows, type GroupOfBranches, type WindowMax } from "./batches.ts";
import { parseOneOf } from "../options/arguments.ts";

/**
 * An item to import: the text of a snapshot, a conversation of another program, the error that prevented reading it, or what a
 * file has beside its conversations. `source` is its name in the report.
 */
export type ImportItem =
  | { readonly source?: string; readonly text: string }
  /** `size`: its bytes in the file, which bound what is in memory at the same time. */
  | { readonly source: string; readonly conversation: Conversation; readonly size?: number }
  /** `count`: the items of a file that have this error; one without it. */
  | { readonly source: string; readonly error: SessionError; readonly count?: number }
  /** `fields`: the names of what was left out, if it has names. */
  | { readonly source: string; readonly leftOut: LeftOut; readonly fields?: readonly string[] };

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
  /** Existed already: the very same session, or one that begins with all of the conversation. */
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
  /** The first hundred conversations and files of which something was left out. */
  readonly incomplete: readonly IncompleteItem[];
  readonly skipped: number;
  /** Those of the skipped that are conversations without messages, and files without conversations: nothing of them is missing. */
  readonly empty: number;
  /** The reasons for the first hundred of them. */
  readonly reasons: readonly SkippedItem[];
}

/** An item that was not imported, and the reason. */
export interface SkippedItem {
  readonly source: string;
  readonly code: string;
  readonly message: string;
}

/** A conversation of which something was not imported, or a file with something beside its conversations. */
export interface IncompleteItem {
  readonly source: string;
  /** The id of the session of the conversation; absent for a file. */
  readonly id?: string;
  readonly leftOut: LeftOut;
  /** The first hundred names of the fields that a file has beside its conversations. */
  readonly fields?: readonly string[];
}

/** The sessions, or the characters of their texts, that are under way at the same time. */
export const windowMax: WindowMax = { count: 64, size: 1024 * 1024 };
/** The branches of one conversation, or the bytes of them in the file, that are matched with its sessions together. */
const groupMax: WindowMax = { count: 10_000, size: 64 * 1024 * 1024 };
/** The sessions of more branches than a conversation has are looked for in steps of this many. */
const moreBranches = 64;
const reasonsMax = 100;
/** The most bytes in a snapshot of the fields of a turn beside its data, and of a record beside its metadata. */
const aroundBytes = { turn: 256, record: 64 * 1024 } as const;
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
  const groups = inGroups(items, { max: groupMax, sizeOf, groupOf });
  const sizeOfAll = (group: readonly (ImportItem | string)[]): number =>
    group.reduce((sum, one) => sum + sizeOf(one), 0);
  await inWindows(groups, { max: windowMax, sizeOf: sizeOfAll }, async (window) => {
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
type ConversationItem = NamedItem & { readonly conversation: Conversation };

/** An item, and the id of a conversation that names none, or why it is not imported. */
interface CheckedItem {
  readonly item: NamedItem;
  readonly made?: MadeId;
  readonly failure?: { readonly error: unknown };
}

type Failure = { readonly error: unknown } | undefined;

/** The id of the session of a branch, or why it has none. */
type BranchPlace = { readonly id: string; readonly replaces: boolean } | { readonly error: unknown };

/** The conversation that an item is a branch of. Callers without types pass anything. */
function groupOf(one: ImportItem | string): GroupOfBranches | undefined {
  if (typeof one === "string" || !isItem(one) || !("conversation" in one)) return undefined;
  const { branchOf } = one.conversation;
  const { id, count } = Object(branchOf) as { readonly id?: unknown; readonly count?: unknown };
  return typeof id === "string" && Number.isSafeInteger(count) && (count as number) > 0 ? branchOf : undefined;
}

/** What the groups of the branches of one conversation have in common. */
function keyOfGroup(item: NamedItem): object {
  return ("conversation" in item ? item.conversation.branchOf : undefined) ?? item;
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
  /** The ids of the sessions that the branches of a conversation have, which are conversations of their own. */
  readonly #branches = new WeakMap<object, Set<string>>();
  /** The ids of the sessions that conversations of this import without ids have made or continued. */
  readonly #continued = new Set<string>();
  /** True where an earlier import has made ids in this tenant. */
  #hasMadeBefore: Promise<boolean> | undefined;
  readonly #dryRun = new DryRun();
  #taken = 0;
  #empty = 0;
  #unreadable = 0;

  constructor(core: Core, options: Omit<ImportOptions, "onProgress"> & { readonly tenant: string }) {
    this.#core = core;
    this.#options = options;
    this.#replacesOthers = parsePolicy(options.onExists ?? "skip") === "replace";
    if (options.agent !== undefined) parseNewId(options.agent, "agent");
    if (options.ttl !== undefined) parseLifetime(options.ttl, "ttl");
  }

  get report(): ImportReport {
    return {
      ...this.#counts,
      leftOut: Object.fromEntries(this.#leftOut),
      incomplete: [...this.#incomplete],
      empty: this.#empty,
      ...this.#skipped.report,
    };
  }

  /** Of the items of a window, the branches of one conversation are a group. */
  async take(window: readonly (readonly (ImportItem | string)[])[]): Promise<void> {
    const taken = window.flat().map((one): NamedItem => {
      const source = `item ${++this.#taken}`;
      if (typeof one === "string") return { source, text: one };
      if (isItem(one)) return { source, ...one };
      // A form of the caller may make a conversation that is none.
      const { source: place, conversation = one } = Object(one) as { source?: unknown; conversation?: unknown };
      const name = typeof place === "string" ? place : source;
      return { source: name, error: invalidArgument(name, conversation, { expected: "conversation" }) };
    });
    // The numbers of equal conversations are those of their order in the file.
    const checked = taken.map((item) => this.#checked(item));
    let from = 0;
    const groups = window.map(({ length }) => checked.slice(from, (from += length)));
    const failures = await this.#failuresOf(groups);
    failures.forEach((failure, index) => {
      const item = taken[index]!;
      if (failure === undefined) return;
      const { count = 1 } = "count" in item ? item : {};
      if (isEmpty(failure.error)) this.#empty += count;
      this.#skipped.add(item.source, failure.error, count);
    });
  }

  /** The failures of the items of a window. Those of one conversation are taken in the order of the file. */
  async #failuresOf(groups: readonly (readonly CheckedItem[])[]): Promise<readonly Failure[]> {
    const last = new Map<string, Promise<unknown>>();
    const failures = await Promise.all(
      groups.map((group) => {
        const { item, made } = group[0]!;
        const name = this.#options.dryRun === true ? "" : "conversation" in item && nameOf(item.conversation, made);
        if (typeof name !== "string") return this.#failuresOfGroup(group);
        const failure = (last.get(name) ?? Promise.resolve()).then(() => this.#failuresOfGroup(group));
        last.set(
          name,
          failure.catch(() => undefined),
        );
        return failure;
      }),
    );
    return failures.flat();
  }

  async #failuresOfGroup(group: readonly CheckedItem[]): Promise<readonly Failure[]> {
    const places = await this.#placesOf(group);
    const failures: Failure[] = [];
    for (const one of group) failures.push(await this.#failureOf(one, places.get(one)));
    return failures;
  }

  /** The item, the id of a conversation that names none, and the error of one that is not whole. */
  #checked(item: NamedItem): CheckedItem {
    if (!("conversation" in item)) return { item };
    const { source, conversation } = item;
    try {
      guardWhole(conversation.messages, source);
      for (const { messages } of conversation.branches ?? []) guardWhole(messages, source);
      return { item, ...defined({ made: this.#numberOf(conversation) }) };
    } catch (error) {
      // A form of the caller may make anything.
      return { item, failure: { error } };
    }
  }

  /** Undefined where the item was imported. */
  async #failureOf({ item, made, failure }: CheckedItem, place: BranchPlace | undefined): Promise<Failure> {
    try {
      if (failure !== undefined) throw failure.error;
      if ("error" in item) throw item.error;
      if ("leftOut" in item) this.#countLeftOut(item);
      else await ("text" in item ? this.#snapshot(item) : this.#conversation(item, { made, place }));
      return undefined;
    } catch (error) {
      if (endsPass(error)) throw error;
      if (isUnreadable(error) && ++this.#unreadable > unreadableMax) throw tooManyUnreadable(item.source);
      return { error };
    }
  }

  async #snapshot({ text, source: name }: NamedItem & { readonly text: string }): Promise<void> {
    const source = await readSnapshot(text, { source: name, limits: this.#core.options.limits });
    const fateBeside: ArrivalPolicy["fateBeside"] = async (existing, arriving) => {
      const whole = await withAttachments(this.#core, existing.stored, existing);
      if (await isIdentical(whole, arriving)) return "present";
      // The turns of a damaged session cannot be compared.
      if (this.#replacesOthers) return "replaced";
      return this.#fateOfSnapshot(await this.#compared(existing, arriving));
    };
    const { turns } = source.record.counters;
    await this.#arrive(source, { fateBeside, replaces: this.#replacesOthers, turns });
  }

  /** Of the sessions that a conversation without an id may continue, it continues the first one that it does. */
  async #conversation(
    item: ConversationItem,
    { made, place }: { readonly made: MadeId | undefined; readonly place: BranchPlace | undefined },
  ): Promise<void> {
    const { branchOf } = item.conversation;
    if (branchOf !== undefined) {
      if (place === undefined) throw invalidArgument("branchOf", branchOf, { expected: "conversation" });
      if ("error" in place) throw place.error;
      await this.#arriveAs(branchItem(item, place.id, branchOf.id), place.id, place.replaces);
      return;
    }
    if (made === undefined) {
      await this.#arriveAs(item, item.conversation.id!, this.#replacesOthers);
      return;
    }
    let refused: { readonly id: string; readonly error: unknown } | undefined;
    for await (const id of this.#idsOf(item.conversation, made)) {
      try {
        await this.#arriveAs(item, id, false);
        this.#continued.add(id);
        return;
      } catch (error) {
        if (!hasCode(error, "session_exists")) throw error;
        refused ??= { id, error };
      }
    }
    if (!this.#replacesOthers) throw refused!.error;
    await this.#arriveAs(item, refused!.id, true);
    this.#continued.add(refused!.id);
  }

  /** The sessions of the branches of one conversation, by the items of the branches. */
  async #placesOf(group: readonly CheckedItem[]): Promise<ReadonlyMap<CheckedItem, BranchPlace>> {
    const places = new Map<CheckedItem, BranchPlace>();
    const [first] = group;
    const of = first === undefined ? undefined : groupOf(first.item);
    if (of === undefined) return places;
    const branches = new Map<ForkedBranch, CheckedItem>();
    for (const one of group) {
      if (one.failure !== undefined || !("conversation" in one.item)) continue;
      try {
        branches.set(await this.#forkedBranch(one.item, of.id), one);
      } catch (error) {
        if (endsPass(error)) throw error;
        places.set(one, { error });
      }
    }
    const all = [...branches.keys()];
    // Where a part of the branches is unknown, a session without a branch may be that of one of those.
    const isWhole = all.length === of.count;
    for (const [branch, place] of await this.#sessionsOf(all, { of, key: keyOfGroup(first!.item), isWhole }))
      places.set(branches.get(branch)!, place);
    return places;
  }

  async #sessionsOf(
    branches: readonly ForkedBranch[],
    { of, key, isWhole }: { readonly of: GroupOfBranches; readonly key: object; readonly isWhole: boolean },
  ): Promise<ReadonlyMap<ForkedBranch, BranchPlace>> {
    const taken = this.#branches.get(key) ?? new Set();
    this.#branches.set(key, taken);
    const ids = new Set([...branchIds(of.id, { from: 1, count: of.count }), ...branches.map(({ ownId }) => ownId)]);
    const existing = await this.#existingOf(of, ids);
    const { sessions, failure } = await this.#digestsOf([...existing].filter((id) => !taken.has(id)));
    const matching = new BranchSessions(sessions);
    const matched = matching.match(branches, this.#core.options.limits);
    // A session that is stale has the place of no branch.
    const more = branchIds(of.id, { from: of.count + 1, count: existing.size + matching.stale })
      .filter((id) => !existing.has(id))
      .slice(0, matching.stale);
    const free = new Set([...ids, ...more].filter((id) => !existing.has(id) && !taken.has(id)));
    const places = new Map<ForkedBranch, BranchPlace>();
    for (const [branch, { id, isOther }] of matched)
      places.set(branch, { id, replaces: isOther && this.#replacesOthers });
    for (const branch of branches) {
      if (places.has(branch)) continue;
      // The branch may be that of the session that cannot be read.
      if (failure !== undefined) places.set(branch, failure);
      const [next] = free;
      const id = free.has(branch.ownId) ? branch.ownId : next;
      if (failure !== undefined || id === undefined) continue;
      free.delete(id);
      places.set(branch, { id, replaces: false });
    }
    const left = branches.filter((branch) => !places.has(branch));
    const replaced = this.#replacesOthers && isWhole ? matching.replaced(left) : matched;
    for (const branch of left) {
      const session = replaced.get(branch);
      const details = { sessionId: branch.ownId, tenant: this.#options.tenant, problem: "differs" } as const;
      const error = new SessionError("session_exists", details);
      places.set(branch, session === undefined ? { error } : { id: session.id, replaces: true });
    }
    for (const place of places.values()) if ("id" in place) taken.add(place.id);
    return places;
  }

  async #forkedBranch({ conversation }: ConversationItem, of: string): Promise<ForkedBranch> {
    const { id: ownId = of } = conversation;
    const { agent, ttl = "never" } = this.#options;
    const { portable } = portableConversation(this.#core, conversation, { id: of, agent, ttl });
    const first = await digestOf(sourceOf(portable));
    const other = withField(first, "branchOf", of);
    return { ownId, digestAs: (id) => (id === of ? first : other) };
  }

  /** The ids that sessions have, also those of branches of a state that had more of them. */
  async #existingOf({ id, count }: GroupOfBranches, ids: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    const existing = new Set<string>();
    const look = async (some: readonly string[]): Promise<void> => {
      const found = await this.#exist(some);
      some.forEach((one, index) => {
        if (found[index] === true || this.#dryRun.digestOf(one) !== undefined) existing.add(one);
      });
    };
    let more = branchIds(id, { from: count + 1, count: moreBranches });
    await look([...ids, ...more]);
    for (let from = count + 1; more.some((one) => existing.has(one));) {
      more = branchIds(id, { from: (from += moreBranches), count: moreBranches });
      await look(more);
    }
    return existing;
  }

  /** The digests of sessions, and why one of them cannot be read. */
  async #digestsOf(ids: readonly string[]): Promise<{
    readonly sessions: ReadonlyMap<string, Digest>;
    readonly failure: { readonly error: unknown } | undefined;
  }> {
    const { tenant } = this.#options;
    const sessions = new Map<string, Digest>();
    let failure: { readonly error: unknown } | undefined;
    for (const id of ids)
      try {
        const digest = this.#dryRun.digestOf(id) ?? (await standingDigest(this.#core, { tenant, id }));
        if (digest !== undefined) sessions.set(id, digest);
      } catch (error) {
        if (endsPass(error)) throw error;
        failure ??= { error };
      }
    return { sessions, failure };
  }

  async #arriveAs({ conversation, source: name }: ConversationItem, id: string, replaces: boolean): Promise<void> {
    const { agent, ttl = "never" } = this.#options;
    const session = portableConversation(this.#core, conversation, { id, agent, ttl });
    const source = sourceOf(session.portable);
    await this.#guardSize(source, name);
    const fateBeside: ArrivalPolicy["fateBeside"] = async (existing, arriving) => {
      return fateOf(await this.#compared(existing, arriving), replaces);
    };
    const { fate, merge } = await this.#arrive(source, { fateBeside, replaces, turns: session.turns });
    if (fate === "present") return;
    const { aside = 0, leftOut } = conversation;
    this.#counts.aside += aside;
    const future = { "time in the future": futureTimes(conversation, this.#core.now()) };
    const branches = { branch: merge?.leftOut ?? 0 };
    this.#countLeftOut({ source: name, id, leftOut: sumOf(leftOut ?? {}, session.leftOut, branches, future) });
  }

  /** The fate of a snapshot that is not the session, byte for byte: an earlier state is present, or restored on request. */
  #fateOfSnapshot({ relation }: Comparison): Fate {
    if (this.#replacesOthers) return "replaced";
    return relation === "earlier" ? "present" : undefined;
  }

  async #compared(existing: SessionSource, arriving: SessionSource): Promise<Comparison> {
    return compared(await digestOf(existing), await digestOf(arriving), this.#core.options.limits);
  }

  #countLeftOut({ leftOut, ...item }: IncompleteItem): void {
    const kinds = Object.entries(leftOut).filter(([, count]) => count > 0);
    for (const [kind, count] of kinds) this.#leftOut.set(kind, (this.#leftOut.get(kind) ?? 0) + count);
    if (kinds.length > 0 && this.#incomplete.length < reasonsMax)
      this.#incomplete.push({ ...item, leftOut: Object.fromEntries(kinds) });
  }

  /** A session that no export would write is not imported. @throws SessionError `snapshot_too_large` */
  async #guardSize(session: ReturnType<typeof sourceOf>, source: string): Promise<void> {
    const { snapshotBytesMax: bytesMax, metadataBytesMax } = this.#core.options.limits;
    let most = aroundBytes.record + metadataBytesMax;
    for (const entries of session.inMemory.logs.values())
      for (const entry of entries) most += aroundBytes.turn + entryBytes(entry);
    if (most <= bytesMax) return;
    let bytes = 0;
    for await (const piece of snapshotPieces(session)) bytes += Buffer.byteLength(piece);
    if (bytes > bytesMax) throw new SessionError("snapshot_too_large", { source, bytes, bytesMax });
  }

  /** `turns`: those of a session that does not exist. */
  async #arrive(
    source: SessionSource,
    {
      fateBeside,
      replaces,
      turns,
    }: Pick<ArrivalPolicy, "fateBeside"> & { readonly replaces: boolean; readonly turns: number },
  ): Promise<{ readonly fate: Arrived; readonly merge: Merge | undefined }> {
    const { tenant, dryRun = false } = this.#options;
    const key = { tenant, id: parseNewId(source.record.id, "sessionId") };
    const met = dryRun ? await this.#metInDryRun(source, replaces) : undefined;
    const { arrived: fate, merge } = met ?? (await arrive(this.#core, { key, source }, { fateBeside, dryRun }));
    // A session that is present may be a later state than the arriving one.
    if (dryRun && fate !== "present") await this.#dryRun.write(source, merge);
    this.#counts[fate]++;
    if (fate !== "present") this.#counts.turns += merge?.added ?? turns;
    return { fate, merge };
  }

  /** The fate beside a session that this dry run would have written before. @throws SessionError `session_exists` */
  async #metInDryRun(
    source: SessionSource,
    replaces: boolean,
  ): Promise<{ readonly arrived: Arrived; readonly merge?: Merge } | undefined> {
    const met = await this.#dryRun.compare(source, this.#core.options.limits);
    if (met === undefined) return undefined;
    const { comparison, isIdentical } = met;
    const isSnapshot = "checksum" in source && !isIdentical;
    const fate = isSnapshot ? this.#fateOfSnapshot(comparison) : fateOf(comparison, replaces);
    if (typeof fate === "object") return { arrived: "grown", merge: fate };
    if (fate !== undefined) return { arrived: fate };
    const { tenant } = this.#options;
    throw new SessionError("session_exists", { sessionId: source.record.id, tenant, problem: "differs" });
  }

  #numberOf(conversation: Conversation): MadeId | undefined {
    if (conversation.id !== undefined) return undefined;
    const ids = madeIds(firstBranchOf(conversation));
    const whole = ids.at(-1)!;
    const number = (this.#made.get(whole) ?? 0) + 1;
    this.#made.set(whole, number);
    return { first: ids[0], whole, number };
  }

  /**
   * The ids that a conversation without one may have: its own if a session has it, else those of the sessions that an earlier import
   * has made of its beginnings, the longest first, else its own.
   */
  async *#idsOf(conversation: Conversation, { whole, number }: MadeId): AsyncGenerator<string, void, undefined> {
    const own = numbered(whole, number);
    this.#hasMadeBefore ??= hasMadeIds(this.#core, this.#options.tenant);
    if (!(await this.#hasMadeBefore)) {
      yield own;
      return;
    }
    const earlier = idsOfBeginnings(firstBranchOf(conversation)).slice(0, beginningsMax);
    const [isOwn, ...found] = await this.#exist([own, ...earlier]);
    let isFirst = isOwn !== true;
    if (isOwn === true) yield own;
    for (const base of earlier.filter((_, index) => found[index])) {
      // The sessions of this import's own conversations are no beginnings of others.
      for (let count = (this.#made.get(base) ?? 0) + 1; count <= equalMax; count++) {
        const id = numbered(base, count);
        if (count > 1 && !(await this.#exists(id))) break;
        if (this.#continued.has(id)) continue;
        isFirst = false;
        yield id;
      }
    }
    if (isFirst) yield own;
  }

  async #exists(id: string): Promise<boolean> {
    return (await this.#exist([id]))[0]!;
  }

  async #exist(ids: readonly string[]): Promise<readonly boolean[]> {
    const { tenant } = this.#options;
    const found = await this.#core.findAll(ids.map((id) => ({ tenant, id })));
    return ids.map((_, index) => found[index] !== undefined);
  }
}

/** The name of what is taken in the order of the file: conversations that may be one session. */
function nameOf({ id, branchOf }: Conversation, made: MadeId | undefined): string | undefined {
  return branchOf?.id ?? id ?? made?.first;
}

/** The branch of a conversation under the id of its session. */
function branchItem(item: ConversationItem, id: string, of: string): ConversationItem {
  const { conversation } = item;
  if (id === of) return item;
  return { ...item, conversation: { ...conversation, metadata: { ...conversation.metadata, branchOf: of } } };
}

/** The id of one of several equal conversations. */
function numbered(id: string, number: number): string {
  return number > 1 ? `${id}-${number}` : id;
}

function sumOf(...all: readonly LeftOut[]): LeftOut {
  const sum: Record<string, number> = {};
  for (const counts of all) for (const [kind, count] of Object.entries(counts)) sum[kind] = (sum[kind] ?? 0) + count;
  return sum;
}

/** The fate of a conversation. */
function fateOf(comparison: Comparison, replaces: boolean): Fate {
  if (comparison.relation === "grown") return comparison.merge;
  // A replacement with an earlier state would delete the later turns.
  if (comparison.relation === "same" || comparison.relation === "earlier") return "present";
  return replaces ? "replaced" : undefined;
}

/** The ids of the first exchange and of the whole of a conversation, and its number among the equal ones of one import. */
interface MadeId {
  readonly first: string;
  readonly whole: string;
  readonly number: number;
}

/** Of more equal conversations than this the others are not found when they have grown. */
const equalMax = 100;

/** A conversation that has grown by more messages than this since the last import is a new one. */
const beginningsMax = 1024;

async function hasMadeIds(core: Core, tenant: string): Promise<boolean> {
  const after = encodeCursor([tenant, madeIdPrefix]);
  const { records } = await core.store.find({ tenant, now: core.now(), order: "key", after, limit: 1 });
  return records[0]?.id.startsWith(madeIdPrefix) === true;
}

/** Callers without types pass anything. */
function isItem(one: unknown): one is ImportItem {
  if (typeof one !== "object" || one === null) return false;
  const { text, conversation, error, leftOut } = one as {
    readonly [Field in "text" | "conversation" | "error" | "leftOut"]?: unknown;
  };
  const isObject = [conversation, leftOut].some((value) => typeof value === "object" && value !== null);
  return typeof text === "string" || isObject || error !== undefined;
}

function isEmpty(error: unknown): boolean {
  if (!hasCode(error, "message_invalid")) return false;
  return error.details.expected === "messages" || error.details.expected === "conversations";
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
