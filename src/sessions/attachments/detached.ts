/** Keeps the data inside entries beside them, once for each tenant, and gives the entries with the data again. */
import {
  dataIn,
  escapedMarks,
  givenText,
  markOf,
  marksIn,
  mayHaveMarks,
  type DetachedData,
} from "../../domain/attachments/detached-data.ts";
import { bytesLog, type Attachment } from "../../domain/attachments/attachment.ts";
import { unchanged, type Change } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { isInternalScope } from "../../domain/values/internal-scope.ts";
import { hasCode } from "../../errors.ts";
import type { StoredForm } from "../../store/calls/stored-form.ts";
import type { Core } from "../core/core.ts";
import { bytesOf, countReferences, isDamaged } from "./list.ts";
import { objectOf } from "./objects.ts";
import { entriesOfBytes } from "./pieces.ts";
import {
  contentKey,
  countChange,
  countKey,
  newContent,
  newReference,
  referenceKey,
  referenceOf,
  usedReference,
} from "./records.ts";
import { usedAgainMs } from "./put.ts";
import { nodeCrypto } from "../../node-crypto.ts";

/** The type of data whose text names none. */
const unnamedType = "application/octet-stream";
/** Tries of a put against other writers of the same bytes. */
const attemptsMax = 20;
/** The characters of base64 that stay in memory: a window shows the same pictures again and again. */
const cacheLengthMax = 16 * 1024 * 1024;

/** The form in which a process stores the entries of sessions: as its options say, with data beside them. */
export function detachedForm(core: Core): StoredForm {
  return new DetachedForm(core);
}

class DetachedForm implements StoredForm {
  readonly #core: Core;
  readonly #bytesMax: number;
  readonly #cache = new Base64Cache();

  constructor(core: Core) {
    this.#core = core;
    this.#bytesMax = core.options.inlineBytesMax;
  }

  readonly concerns = (data: string): boolean => data.length > this.#bytesMax || mayHaveMarks(data);

  /** Texts of a session in an internal scope, which may become those of another one, keep their data. */
  readonly stored = async (session: SessionRecord, given: string): Promise<string> => {
    const data = escapedMarks(given);
    if (data.length <= this.#bytesMax || isInternalScope(session.tenant)) return data;
    let stored = "";
    let end = 0;
    for (const { from, to, type, bytes } of dataIn(data, this.#bytesMax)) {
      const hash = await this.#put(session, { type, bytes });
      if (hash === undefined) continue;
      stored += data.slice(end, from) + markOf({ type, hash });
      end = to;
    }
    return stored + data.slice(end);
  };

  readonly isStored = mayHaveMarks;

  readonly given = async (session: SessionRecord | undefined, stored: string): Promise<string> => {
    const hashes = new Set(marksIn(stored).map(({ hash }) => hash));
    const found = new Map<string, string>();
    if (session !== undefined) {
      const keys = [...hashes].map((hash) => referenceKey(session, hash));
      // A session has the data alone that it was given.
      for (const reference of await this.#core.findAll(keys))
        if (reference !== undefined) {
          const base64 = await this.#base64Of(session, reference);
          if (base64 !== undefined) found.set(referenceOf(reference).attachment.hash, base64);
        }
    }
    return givenText(stored, (hash) => found.get(hash));
  };

  /** Undefined where the bytes are lost: the mark stays in the text, and the doctor reports the attachment. */
  async #base64Of(session: SessionRecord, reference: SessionRecord): Promise<string | undefined> {
    const { attachment } = referenceOf(reference);
    const name = `${session.tenant} ${attachment.hash}`;
    const known = this.#cache.get(name);
    if (known !== undefined) return known;
    try {
      const pieces = await Array.fromAsync(bytesOf(this.#core, session, attachment));
      const base64 = Buffer.concat(pieces).toString("base64");
      this.#cache.add(name, base64);
      return base64;
    } catch (error) {
      if (hasCode(error, "store_invalid") || hasCode(error, "attachment_not_found")) return undefined;
      throw error;
    }
  }

  /** Puts the bytes for a session, before an entry names them; undefined where the entry is to keep them. */
  async #put(session: SessionRecord, { type = unnamedType, bytes }: DetachedData): Promise<string | undefined> {
    const core = this.#core;
    const { attachmentBytesMax, attachmentsMax } = core.options.limits;
    if (bytes.length > attachmentBytesMax) return undefined;
    const hash = nodeCrypto().createHash("sha256").update(bytes).digest("hex");
    await core.learnTime();
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      const keys = [referenceKey(session, hash), contentKey(session.tenant, hash), countKey(session)];
      const [reference, content, counted] = await core.findAll(keys);
      // A message must not lose its data because an earlier one has lost the same.
      if (
        content !== undefined &&
        !(await isReadable({ core, session, content, attachment: { hash, type, length: bytes.length } }))
      )
        return undefined;
      const isUsed = reference !== undefined && core.now() - referenceOf(reference).usedAt < usedAgainMs;
      if (isUsed && content !== undefined) return hash;
      if (reference === undefined && (await countReferences(core, session)) >= attachmentsMax) return undefined;
      const attachment = { hash, type, length: bytes.length };
      const logs = { logs: new Map([[bytesLog, entriesOfBytes(bytes, core.now())]]), staged: undefined, beside: [] };
      const changes: Change[] = [
        content === undefined ? newContent(core, { ...attachment, tenant: session.tenant }, logs) : unchanged(content),
        ...(reference === undefined
          ? [newReference(core, session, attachment, { isDetached: true }), countChange(core, session, counted)]
          : [usedReference(core, reference)]),
      ];
      if ((await core.commitBefore(changes)).status === "ok") return hash;
    }
    return undefined;
  }
}

/** False for a content whose object this process cannot open, or whose bytes are damaged. A content in the store is not read. */
async function isReadable({
  core,
  session,
  content,
  attachment,
}: {
  readonly core: Core;
  readonly session: SessionRecord;
  readonly content: SessionRecord;
  readonly attachment: Attachment;
}): Promise<boolean> {
  if (objectOf(content) === undefined) return true;
  try {
    return core.options.attachmentStore !== undefined && !(await isDamaged(core, session, attachment));
  } catch (error) {
    if (hasCode(error, "attachment_store_failed")) return false;
    throw error;
  }
}

/** Base64 by the hash of its bytes, the texts that were read last. */
class Base64Cache {
  readonly #texts = new Map<string, string>();
  #length = 0;

  get(name: string): string | undefined {
    const text = this.#texts.get(name);
    if (text === undefined) return undefined;
    this.#texts.delete(name);
    this.#texts.set(name, text);
    return text;
  }

  add(name: string, text: string): void {
    if (this.#texts.has(name) || text.length > cacheLengthMax / 2) return;
    this.#texts.set(name, text);
    this.#length += text.length;
    for (const [oldest, { length }] of this.#texts) {
      if (this.#length <= cacheLengthMax) return;
      this.#texts.delete(oldest);
      this.#length -= length;
    }
  }
}
