/** The sessions and conversations in the documents of a file. */
import { isFields } from "../domain/turns/known-parts.ts";
import type { Value } from "../domain/values/codec.ts";
import { defined } from "../domain/values/defined.ts";
import { SessionError } from "../errors.ts";
import { documentsOf, type BesideLists, type SourceDocument } from "../files/documents.ts";
import { FieldCount, isSpace, type FieldNames } from "../files/splitters.ts";
import { textOf } from "../sessions/snapshots/snapshot-reader.ts";
import type { ImportItem } from "../sessions/transfer/importing.ts";
import { FormChoice, readBy } from "./forms/form-choice.ts";
import type { ConversationFormat, FoundDocument, BranchOptions } from "./conversations/conversation-format.ts";
import { says } from "./conversations/about.ts";
import { LeftOutCounts } from "./conversations/left-out.ts";
import { asExported } from "./conversations/exported-session.ts";
import { conversationFormats } from "./forms/registry.ts";
import { parseValue } from "./values.ts";
import { noConversationName } from "./conversations/refusals.ts";

/** The file whose items are read. */
export interface ItemsOptions {
  readonly file: string;
  /** The most bytes of one document, and of the entries of one conversation. */
  readonly bytesMax: number;
  /** The known forms. @default those that Perdure knows */
  readonly formats?: readonly ConversationFormat[];
  /** The name of the form of the file. @default the first form that all of its documents fit */
  readonly format?: string;
  /** @default "shown" */
  readonly branches?: BranchOptions["branches"];
  /** The most branches of one conversation that are read with `keep`. @default all */
  readonly branchesMax?: number;
  /** Called at the end of a file of conversations. */
  readonly onForm?: (read: ReadFile) => void;
}

/** A file of conversations that was read. */
export interface ReadFile {
  readonly file: string;
  /** The name of its form. */
  readonly format: string;
  /** The name of its form, for people. */
  readonly title: string;
  readonly conversations: number;
}

/**
 * The items of a file: snapshots, one per line, or conversations in a form of another program. Its form is the first one that all
 * of its documents fit.
 * @throws SessionError the errors of the stream
 */
export async function* importItems(
  stream: AsyncIterable<Uint8Array>,
  options: ItemsOptions,
): AsyncGenerator<ImportItem, void, undefined> {
  const { file, bytesMax } = options;
  const reader = new FileReader(options);
  let isEmpty = true;
  const lists = {
    names: wrapperNames,
    isDocument: (item: Buffer) => reader.isConversation(item),
    isWhole: (object: Buffer) => reader.isConversation(object),
  };
  for await (const document of documentsOf(reader.watched(stream), { file, bytesMax, lists })) {
    isEmpty = false;
    yield* reader.take(document);
  }
  yield* reader.end();
  if (!isEmpty) return;
  // A list without items is whole; nothing at all may be the rest of a file that was cut off.
  const error = reader.hasBytes
    ? noConversations(file)
    : new SessionError("message_invalid", { path: file, expected: "content" });
  yield { source: file, error };
}

function noConversations(path: string): SessionError<"message_invalid"> {
  return new SessionError("message_invalid", { path, expected: "conversations" });
}

class FileReader {
  readonly #options: ItemsOptions;
  readonly #choice: FormChoice;
  readonly #entries: Entries;
  /** The lists of the object whose items are read. */
  #lists: ObjectLists | undefined;
  #conversations = 0;
  hasBytes = false;
  /** The documents that fit no known form, which a log may have. */
  readonly #foreign = new LeftOutCounts();
  /** The error of the first document of no known form, and how many there are, until one has a known form. */
  #unknown: { readonly item: ImportItem & { readonly error: SessionError }; count: number } | undefined;

  constructor(options: ItemsOptions) {
    const { formats = conversationFormats, format, file, bytesMax } = options;
    this.#options = options;
    this.#choice = new FormChoice(formats, format);
    this.#entries = new Entries({ file, bytesMax });
  }

  /** The bytes of the file; {@link hasBytes} is true once one of them is no space and no byte order mark. */
  async *watched(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const bytes of stream) {
      this.hasBytes ||= bytes.some((byte) => byte < 0x80 && !isSpace(byte));
      yield bytes;
    }
  }

  /** True for a conversation of a form that the file may have. */
  isConversation(bytes: Buffer): boolean {
    const { file: source } = this.#options;
    const read = readDocument({ source, bytes });
    try {
      return "value" in read && this.#choice.isConversation({ value: read.value, place: source });
    } catch (error) {
      // The same error refuses the document when it is read.
      if (error instanceof SessionError) return false;
      throw error;
    }
  }

  *take(document: SourceDocument | BesideLists): Iterable<ImportItem> {
    if ("beside" in document) {
      yield* this.#endObject(document.source, document.beside);
      return;
    }
    const list = "bytes" in document ? document.list : undefined;
    const read = readDocument(document);
    if (!("value" in read)) {
      yield read;
      return;
    }
    if (list === undefined && isEmptyWrapper(read.value)) {
      yield { source: read.source, error: noConversations(read.source) };
      return;
    }
    const found = { value: read.value, place: read.source };
    const size = "bytes" in document ? document.bytes.length : 0;
    if (list !== undefined) {
      yield* this.#item(found, { list, size });
      return;
    }
    let lists;
    let inner: readonly InnerDocument[];
    try {
      const fits = (value: Value): boolean => this.#choice.fits({ value, place: found.place });
      lists = fits(found.value) ? undefined : listsIn(found.value, fits);
      inner = lists === undefined ? this.#innerOf(found) : [];
    } catch (error) {
      yield* this.#misfit(found, error);
      return;
    }
    if (inner.length > 0) yield* this.#wrapper(found, { inner, size });
    else if (lists === undefined) yield* this.#one(found, size);
    else yield* this.#object(found, { lists, size });
  }

  /** The fields of an object of no known form that are a conversation, or an object around lists of conversations. */
  #innerOf({ value, place }: FoundDocument): readonly InnerDocument[] {
    const isConversation = (item: Value): boolean => this.#choice.isConversation({ value: item, place });
    if (!isFields(value) || this.#choice.fits({ value, place })) return [];
    return Object.entries(value).flatMap(([name, field]): readonly InnerDocument[] => {
      if (!isFields(field)) return [];
      const lists = isConversation(field) ? [] : listsIn(field, isConversation);
      return lists === undefined ? [] : [{ name, document: { value: field, place: `${place} ${name}` }, lists }];
    });
  }

  /** The conversations inside an object such as the response of an API, `{"data": {"conversations": […]}}`. */
  *#wrapper(
    { value, place }: FoundDocument,
    { inner, size }: { readonly inner: readonly InnerDocument[]; readonly size: number },
  ): Iterable<ImportItem> {
    // The keys of a map of conversations are their ids; the names of the fields of a response are none.
    const isMap = inner.length > 1 && inner.every(({ name, lists }) => lists.length === 0 && !fieldNames.has(name));
    for (const { name, document, lists } of inner)
      if (lists.length === 0) yield* this.#one(document, size / inner.length, isMap ? name : undefined);
      else yield* this.#object(document, { lists, size: size / inner.length });
    yield* this.#endObject(
      place,
      besideIn(
        value,
        inner.map(({ name }) => name),
      ),
    );
  }

  /** The items of the lists of an object, or of a list alone. */
  *#object(
    { value, place }: FoundDocument,
    { lists, size }: { readonly lists: readonly NamedList[]; readonly size: number },
  ): Iterable<ImportItem> {
    const count = lists.reduce((sum, { items }) => sum + items.length, 0);
    let number = 0;
    for (const { name: list, items } of lists)
      for (const item of items)
        yield* this.#item({ value: item, place: `${place} item ${++number}` }, { list, size: size / count });
    yield* this.#endObject(
      place,
      besideIn(
        value,
        lists.map(({ name }) => name),
      ),
    );
  }

  /** An item of a list. The first items wait for one that fits: a list without one is a field like others. */
  *#item(
    document: FoundDocument,
    { list, size }: { readonly list: string; readonly size: number },
  ): Iterable<ImportItem> {
    const lists = (this.#lists ??= new ObjectLists());
    if (!lists.isRead(list) && !(lists.mayBeRead(list) && this.#mayFit(document))) {
      lists.wait(list, { document, size });
      return;
    }
    for (const waiting of lists.read(list)) yield* this.#one(waiting.document, waiting.size);
    yield* this.#one(document, size);
  }

  /** True for a document that fits, or that a form fails on: its error is that of the document. */
  #mayFit(document: FoundDocument): boolean {
    try {
      return this.#choice.fits(document);
    } catch (error) {
      if (error instanceof SessionError) return true;
      throw error;
    }
  }

  /** The fields of an object beside the lists that were read. */
  *#endObject(source: string, { names, count }: FieldNames): Iterable<ImportItem> {
    const unread = this.#lists?.unread ?? [];
    this.#lists = undefined;
    if (count + unread.length === 0) return;
    const leftOut = new LeftOutCounts();
    leftOut.add("field of the file", count);
    for (const { list, items } of unread) leftOut.add(`item of ${list}`, items);
    yield { source, leftOut: leftOut.all, fields: [...names, ...unread.map(({ list }) => list)] };
  }

  /** `id` is that of a conversation that has none of its own. */
  *#one(document: FoundDocument, size: number, id?: string): Iterable<ImportItem> {
    let kind;
    try {
      kind = this.#choice.kindOf(document);
    } catch (error) {
      yield* this.#misfit(document, error);
      return;
    }
    if (kind === "entry") this.#entries.add(document, size);
    else yield* this.#read([document], size, id);
  }

  *#misfit(document: FoundDocument, error: unknown): Iterable<ImportItem> {
    if (!(error instanceof SessionError)) throw error;
    const item = { source: document.place, error };
    const { form } = this.#choice;
    const isForeign = form === undefined || (form.isLog === true && !this.#choice.isKnown(document));
    if (isForeign) this.#foreign.addLine(document.value);
    if (form?.isLog === true) {
      // A document of another form is no line of the log.
      if (!isForeign) yield item;
    } else if (!this.#entries.isEmpty) this.#entries.fail(document, error);
    else if (form !== undefined) yield item;
    else if (this.#unknown === undefined) this.#unknown = { item, count: 1 };
    else this.#unknown.count++;
  }

  *#read(documents: readonly [FoundDocument, ...FoundDocument[]], size: number, id?: string): Iterable<ImportItem> {
    const form = this.#choice.form!;
    const { branches = "shown", branchesMax } = this.#options;
    const [{ place: source }] = documents;
    let read;
    try {
      read = readBy(form, source, () =>
        form.read(documents, { branches, ...defined({ branchesMax }) }).map(asExported),
      );
    } catch (error) {
      if (!(error instanceof SessionError)) throw error;
      yield { source, error };
      return;
    }
    if (read.length === 0) yield { source, leftOut: { "document without a conversation": 1 } };
    this.#conversations += read.length;
    const named = read.length === 1 ? defined({ id }) : {};
    for (const conversation of read)
      yield { source, conversation: { ...named, ...conversation }, size: size / read.length };
  }

  *end(): Iterable<ImportItem> {
    const { form } = this.#choice;
    if (form?.isLog === true) {
      const leftOut = this.#foreign.all;
      if (Object.keys(leftOut).length > 0) yield { source: this.#options.file, leftOut };
    } else if (this.#unknown !== undefined) yield { ...this.#unknown.item, count: this.#unknown.count };
    if (form === undefined) return;
    for (const group of this.#entries.groups(form))
      if ("error" in group) yield group;
      else yield* this.#read(group.documents, group.size);
    const { file, onForm } = this.#options;
    if (this.#conversations > 0)
      onForm?.({ file, format: form.name, title: form.title, conversations: this.#conversations });
  }
}

/** Names of fields with conversations that are no ids of them. */
const fieldNames = new Set(
  [
    "data",
    "result",
    "results",
    "request",
    "response",
    "input",
    "output",
    "prompt",
    "completion",
    "state",
    "history",
  ].concat(["conversation", "session", "thread", "chat", "chosen", "rejected", "before", "after", "messages"]),
);

/** Names of lists of conversations in an object around them. */
const wrapperNames = ["conversations", "data", "sessions", "history", "chats", "threads", "items"];

/** True for an object around lists of conversations that have none, such as `{"conversations": [], "total": 0}`. */
function isEmptyWrapper(value: Value): boolean {
  if (!isFields(value) || value["id"] !== undefined) return false;
  const fields = Object.entries(value);
  const isEmptyList = ([name, field]: readonly [string, Value]): boolean =>
    wrapperNames.includes(name) && Array.isArray(field) && field.length === 0;
  const isScalar = ([, field]: readonly [string, Value]): boolean => typeof field !== "object" || field === null;
  return fields.some(isEmptyList) && fields.every((field) => isEmptyList(field) || isScalar(field));
}

interface NamedList {
  /** "" for a list alone. */
  readonly name: string;
  readonly items: readonly Value[];
}

/** The lists of a document, if it is a list or an object around lists, and one of them has an item that fits. */
function listsIn(value: Value, fits: (item: Value) => boolean): readonly NamedList[] | undefined {
  const lists = Array.isArray(value)
    ? [{ name: "", items: value as readonly Value[] }]
    : Object.entries(isFields(value) ? value : {}).flatMap(([name, items]) =>
        wrapperNames.includes(name) && Array.isArray(items) ? [{ name, items: items as readonly Value[] }] : [],
      );
  return lists.some(({ items }) => items.slice(0, waitingMax).some(fits)) ? lists : undefined;
}

/** A field of an object that is a document by itself. */
interface InnerDocument {
  readonly name: string;
  readonly document: FoundDocument;
  /** Its lists; none for a conversation. */
  readonly lists: readonly NamedList[];
}

/** The fields of an object that say something, but for those that were read. */
function besideIn(value: Value, read: readonly string[]): FieldNames {
  const beside = new FieldCount();
  for (const [name, field] of isFields(value) ? Object.entries(value) : [])
    if (says(field) && !read.includes(name)) beside.add(name);
  return beside;
}

interface WaitingItem {
  readonly document: FoundDocument;
  readonly size: number;
}

/** A list with more items before the first one that fits is no list of conversations. */
const waitingMax = 100;

/** The lists of one object: those whose items are read, and those without an item that fits so far. */
class ObjectLists {
  readonly #read = new Set<string>();
  readonly #waiting = new Map<string, { readonly first: WaitingItem[]; items: number }>();

  isRead(list: string): boolean {
    return this.#read.has(list);
  }

  /** False for a list that has too many items without one that fits. */
  mayBeRead(list: string): boolean {
    return (this.#waiting.get(list)?.items ?? 0) < waitingMax;
  }

  wait(list: string, item: WaitingItem): void {
    const waiting = this.#waiting.get(list) ?? { first: [], items: 0 };
    // The items of a list that is not read are no longer needed.
    if (++waiting.items <= waitingMax) waiting.first.push(item);
    else waiting.first.length = 0;
    this.#waiting.set(list, waiting);
  }

  /** Reads the list from now on; the items that have waited for that. */
  read(list: string): readonly WaitingItem[] {
    const waiting = this.#waiting.get(list)?.first ?? [];
    this.#waiting.delete(list);
    this.#read.add(list);
    return waiting;
  }

  /** The lists that are not read, and how many items each has. */
  get unread(): readonly { readonly list: string; readonly items: number }[] {
    return [...this.#waiting].map(([list, { items }]) => ({ list, items }));
  }
}

interface Entry {
  readonly document: FoundDocument;
  /** Its bytes. */
  readonly size: number;
  /** Why it cannot be read. */
  readonly error?: SessionError;
}

/** The entries of a file: the messages of one conversation, or of several that each names. */
class Entries {
  readonly #file: string;
  readonly #bytesMax: number;
  readonly #all: Entry[] = [];
  #bytes = 0;

  constructor({ file, bytesMax }: { readonly file: string; readonly bytesMax: number }) {
    this.#file = file;
    this.#bytesMax = bytesMax;
  }

  get isEmpty(): boolean {
    return this.#all.length === 0;
  }

  /** @throws SessionError `snapshot_too_large` */
  add(document: FoundDocument, size: number): void {
    this.#bytes += size;
    if (this.#bytes > this.#bytesMax)
      throw new SessionError("snapshot_too_large", {
        source: this.#file,
        bytes: Math.ceil(this.#bytes),
        bytesMax: this.#bytesMax,
      });
    this.#all.push({ document, size });
  }

  /** The conversation of an entry that cannot be read is not imported: without the entry it would be another one. */
  fail(document: FoundDocument, error: SessionError): void {
    this.#all.push({ document, size: 0, error });
  }

  *groups(
    form: ConversationFormat,
  ): Iterable<
    | { readonly documents: readonly [FoundDocument, ...FoundDocument[]]; readonly size: number }
    | { readonly source: string; readonly error: SessionError }
  > {
    const groups = new Map<string | undefined, Entry[]>();
    for (const one of this.#all) {
      const { value, place } = one.document;
      let name: string | undefined;
      try {
        name = readBy(form, place, () => form.groupOf?.(value));
      } catch (error) {
        if (!(error instanceof SessionError)) throw error;
        // Without its name, the entry may belong to any conversation of the file. One of another form has an error already.
        yield { source: this.#file, error: one.error ?? error };
        return;
      }
      const group = groups.get(name);
      if (group === undefined) groups.set(name, [one]);
      else group.push(one);
    }
    const loose = groups.get(undefined);
    if (loose !== undefined && groups.size > 1) {
      const path = loose[0]!.document.place;
      const error = noConversationName(path);
      yield { source: this.#file, error };
      return;
    }
    for (const group of groups.values()) {
      const [first, ...others] = group.map(({ document }) => document);
      const failed = group.find(({ error }) => error !== undefined);
      if (failed !== undefined) yield { source: failed.document.place, error: failed.error! };
      else yield { documents: [first!, ...others], size: group.reduce((sum, { size }) => sum + size, 0) };
    }
  }
}

type ReadDocument =
  | Exclude<ImportItem, { conversation: unknown } | { leftOut: unknown }>
  | { readonly source: string; readonly value: Value };

function readDocument(document: SourceDocument): ReadDocument {
  if ("error" in document) return document;
  const { source, bytes } = document;
  try {
    const text = textOf(bytes, source);
    if (text.startsWith('{"format":"perdure.')) return { source, text };
    const value = parseValue(text, source);
    const isOurs = isFields(value) && typeof value["format"] === "string" && value["format"].startsWith("perdure.");
    return isOurs ? { source, text } : { source, value };
  } catch (error) {
    if (error instanceof SessionError) return { source, error };
    throw error;
  }
}
