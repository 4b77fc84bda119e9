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
  idsOfBranches,
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
import { arrive, isIdentical, type Arrived, type ArrivalPolicy, type Fate } from "./arriving.ts";
import { digestOf } from "./comparison.ts";
import { compared, type Comparison, type Merge } from "./merge.ts";
import { inWindows, type WindowMax } from "./batches.ts";
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
  /** Those of the skipped that are conversations without messages: nothing of them is missing. */
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
type ConversationItem = NamedItem & { readonly conversation: Conversation };

/** An item, and the id of a conversation that names none, or why it is not imported. */
interface CheckedItem {
  readonly item: NamedItem;
  readonly made?: MadeId;
  readonly failure?: { readonly error: unknown };
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

  async take(window: readonly (ImportItem | string)[]): Promise<void> {
    const taken = window.map((one): NamedItem => {
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
    const failures = await this.#failuresOf(checked);
    failures.forEach((failure, index) => {
      const item = taken[index]!;
      if (failure === undefined) return;
      const { count = 1 } = "count" in item ? item : {};
      if (isEmpty(failure.error)) this.#empty += count;
      this.#skipped.add(item.source, failure.error, count);
    });
  }

  /** The failures of the items of a window. Those of one conversation are taken in the order of the file. */
  async #failuresOf(checked: readonly CheckedItem[]): Promise<readonly ({ readonly error: unknown } | undefined)[]> {
    const last = new Map<string, Promise<unknown>>();
    return await Promise.all(
      checked.map((one) => {
        const { item, made } = one;
        const name = this.#options.dryRun === true ? "" : "conversation" in item && nameOf(item.conversation, made);
        if (typeof name !== "string") return this.#failureOf(one);
        const failure = (last.get(name) ?? Promise.resolve()).then(() => this.#failureOf(one));
        last.set(
          name,
          failure.catch(() => undefined),
        );
        return failure;
      }),
    );
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
  async #failureOf({ item, made, failure }: CheckedItem): Promise<{ readonly error: unknown } | undefined> {
    try {
      if (failure !== undefined) throw failure.error;
      if ("error" in item) throw item.error;
      if ("leftOut" in item) this.#countLeftOut(item);
      else await ("text" in item ? this.#snapshot(item) : this.#conversation(item, made));
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
  async #conversation(item: ConversationItem, made: MadeId | undefined): Promise<void> {
    if (item.conversation.branchOf !== undefined) {
      await this.#branch(item, item.conversation.branchOf);
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

  /** A branch continues the session that it is of, whatever id that has, else it has its own id, or the first one that is free. */
  async #branch(item: ConversationItem, branchOf: NonNullable<Conversation["branchOf"]>): Promise<void> {
    const taken = this.#branches.get(branchOf) ?? new Set();
    this.#branches.set(branchOf, taken);
    const ids = idsOfBranches(item.conversation).filter((id) => !taken.has(id));
    const exist = await this.#exist(ids);
    const free = ids.filter((id, index) => exist[index] !== true && !this.#dryRun.has(id));
    let refused: { readonly id: string; readonly error: unknown } | undefined;
    for (const id of [...ids.filter((one) => !free.includes(one)), ...free.slice(0, 1)]) {
      try {
        await this.#arriveAs(branchItem(item, id, branchOf.id), id, false);
        taken.add(id);
        return;
      } catch (error) {
        if (!hasCode(error, "session_exists")) throw error;
        refused ??= { id, error };
      }
    }
    if (refused === undefined) throw new Error(`a branch of ${branchOf.id} has no id`);
    if (!this.#replacesOthers) throw refused.error;
    await this.#arriveAs(branchItem(item, refused.id, branchOf.id), refused.id, true);
    taken.add(refused.id);
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
  return hasCode(error, "message_invalid") && error.details.expected === "messages";
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
