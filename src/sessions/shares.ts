/** Read-only links to a session: each has a token that opens this one session, until it expires or is revoked. */
import { parseHash } from "../domain/attachments/attachment.ts";
import { referencesIn } from "../domain/attachments/reference-url.ts";
import { removeSession } from "../domain/record/lifecycle.ts";
import type { SessionRecord } from "../domain/record/record.ts";
import type { Message } from "../domain/turns/turn.ts";
import { defined } from "../domain/values/defined.ts";
import { parseDuration, type Duration } from "../domain/values/duration.ts";
import { formatValue } from "../domain/values/format-value.ts";
import { parseId, sortableId } from "../domain/values/ids.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { SessionError } from "../errors.ts";
import type { Core } from "./core/core.ts";
import { internalChange } from "./core/internal-record.ts";
import { recordPages } from "./core/record-pages.ts";
import { retryOnConflict } from "./core/retry-on-conflict.ts";
import { Handle } from "./handle/handle.ts";
import { referenceKey } from "./attachments/records.ts";
import { openedAttachment, type OpenAttachment, type RangeOfAttachment } from "./session/attachments.ts";
import { sharedTurn, type SharedTurn } from "./shares/shared-turn.ts";
import {
  openedBy,
  opens,
  sharedName,
  shareKey,
  shareOf,
  sharesScope,
  shareToken,
  tokenHash,
  type OpenedShare,
  type ShareContent,
} from "./shares/share-record.ts";
import { traceCall } from "./tracing/operation.ts";
import { readTurns, type EntryRange } from "./turns/entry-reader.ts";
import { watchSession, type WatchOptions } from "./turns/watch.ts";

/** A share without its token. */
export interface ShareInfo {
  readonly id: string;
  /** The id of the session that it opens. */
  readonly session: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** Options of `share`. */
export interface ShareOptions {
  /** How long the share is valid, at most 365 days. @default "7d" */
  readonly ttl?: Duration;
}

/** What the reader of a share sees of its session. */
export interface SharedInfo {
  readonly title: string | null;
  /** The number of the last turn. */
  readonly turns: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** When the share expires. */
  readonly expiresAt: Date;
}

/** A change of a shared session: a turn that began or ended, or the turns after a number were replaced. */
export type SharedNews =
  | { readonly type: "turn"; readonly turn: SharedTurn }
  | { readonly type: "truncated"; readonly after: number };

const optionNames: OptionNames<ShareOptions> = { ttl: true };
/** A branch that was replaced is not shown. */
const rangeNames: OptionNames<EntryRange> = { last: true, from: true, to: true, before: true, onUnreadable: true };
const ttlMaxMs = 365 * 86_400_000;
/** The shares of one session. */
const sharesMax = 100;

/** @throws SessionError as `Sessions.share` */
export async function shareOn(
  core: Core,
  tenant: string,
  sessionId: string,
  options: ShareOptions,
): Promise<ShareInfo & { readonly token: string }> {
  return await traceCall({ operation: "shares.create", tenant, session: sessionId }, async () => {
    core.guardOpen();
    guardNames(options, "options", optionNames);
    const { ttl = "7d" } = options;
    const ttlMs = parseDuration(ttl, "ttl");
    if (ttlMs > ttlMaxMs)
      throw new SessionError("duration_invalid", {
        name: "ttl",
        value: formatValue(ttl),
        expected: "duration",
        max: ttlMaxMs,
      });
    const session = await found(core, tenant, sessionId);
    const shares = (await sharesOf(core, session)).length;
    if (shares >= sharesMax) throw new SessionError("shares_exceeded", { sessionId, tenant, shares, sharesMax });
    const { clock } = core.options;
    const id = sortableId(core.now(), clock.random(16));
    const token = shareToken(id, clock.random(32));
    const hash = tokenHash(token);
    const metadata: ShareContent = { tenant, session: session.id, born: session.createdAt, user: session.user, hash };
    const change = internalChange(core, shareKey(id), undefined, { user: sharedName(session), metadata, ttlMs });
    const outcome = await core.commit([change]);
    const record = outcome.status === "ok" ? outcome.changes[0]?.record : undefined;
    if (record == null) throw new Error("a fresh id is free");
    // Parallel calls counted before each other's share was stored: each one that finds too many takes its own back.
    const made = (await sharesOf(core, session)).length;
    if (made > sharesMax) {
      await core.commit([removeSession(record)]);
      throw new SessionError("shares_exceeded", { sessionId, tenant, shares: made - 1, sharesMax });
    }
    return { ...infoOf(record, metadata), token };
  });
}

/** The shares of a session that are valid, the newest first. @throws SessionError `session_not_found`, `id_invalid` */
export async function listShares(core: Core, tenant: string, sessionId: string): Promise<readonly ShareInfo[]> {
  return await traceCall({ operation: "shares.list", tenant, session: sessionId }, async () => {
    core.guardOpen();
    return await sharesOf(core, await found(core, tenant, sessionId));
  });
}

/** False where the tenant has no such share. `of`: only a share of this session. */
export async function unshareOn(core: Core, tenant: string, id: string, of?: string): Promise<boolean> {
  return await traceCall({ operation: "shares.revoke", tenant }, async () => {
    core.guardOpen();
    const key = shareKey(parseId(id, "share"));
    return await retryOnConflict({ sessionId: key.id, tenant }, async () => {
      const record = (await core.find(key))?.record;
      const content = shareOf(core, record);
      if (record === undefined || content?.tenant !== tenant) return false;
      if (of !== undefined && content.session !== of) return false;
      return (await core.commit([removeSession(record)])).status === "ok" ? true : undefined;
    });
  });
}

/** @throws SessionError `share_not_found` */
export async function openShareOn(core: Core, token: string): Promise<SharedSession> {
  return await traceCall({ operation: "shares.open", tenant: undefined }, async () => {
    core.guardOpen();
    return new SharedSession(core, token, await verified(core, token));
  });
}

/**
 * One session, to read, by the token of a share. Each call asks the store whether the share is still valid. It shows the texts,
 * pictures and files of the user's and the assistant's messages in the current branch.
 */
export class SharedSession {
  readonly #core: Core;
  readonly #token: string;
  /** The id of the share. */
  readonly id: string;
  readonly expiresAt: Date;

  /** Made by `Sessions.openShare`. @internal */
  constructor(core: Core, token: string, { share }: OpenedShare) {
    this.#core = core;
    this.#token = token;
    this.id = share.id;
    this.expiresAt = new Date(share.expiresAt);
  }

  /** The title and the number of turns. @throws SessionError `share_not_found` */
  async info(): Promise<SharedInfo> {
    const { title, heads, createdAt, lastActivityAt } = (await this.#handle()).record;
    return {
      title,
      turns: heads["turns"] ?? 0,
      createdAt: new Date(createdAt),
      updatedAt: new Date(lastActivityAt),
      expiresAt: this.expiresAt,
    };
  }

  /** The turns, oldest first, as `turns` of a session. @throws SessionError `share_not_found`, `range_invalid`, `argument_invalid` */
  async *turns(range: EntryRange = {}): AsyncGenerator<SharedTurn, void, undefined> {
    guardNames(range, "range", rangeNames);
    for await (const turn of readTurns(await this.#handle(), range)) yield sharedTurn(turn);
  }

  /**
   * Open an attachment that a message shows, or a range of it, as `session.attachments.open`. The turns are read until one names it.
   * @throws SessionError `attachment_not_found`, also for an attachment of the session that no message shows; `share_not_found`,
   *   `range_invalid`, `argument_invalid`
   */
  async openAttachment(hash: string, range: RangeOfAttachment = {}): Promise<OpenAttachment> {
    const parsed = parseHash(hash);
    const handle = await this.#handle();
    // A hash that the session does not have costs one look, not all of its turns.
    if ((await this.#core.find(referenceKey(handle.record, parsed))) !== undefined)
      for await (const turn of readTurns(handle, { from: 1 }))
        if (isShownIn(sharedTurn(turn), parsed))
          return await openedAttachment(this.#core, handle.record, parsed, range);
    throw new SessionError("attachment_not_found", { hash: parsed });
  }

  /**
   * Watch the session: turns as they begin and end. Ends with the session's life, or by an error once the share is revoked or has
   * expired: nothing that was written later comes.
   * @throws SessionError `share_not_found`, `argument_invalid`, `closed`
   */
  async *watch(options: WatchOptions = {}): AsyncGenerator<SharedNews, void, undefined> {
    for await (const news of watchSession(await this.#handle(), options)) {
      if (news.type === "chunk") continue;
      await this.verify();
      yield news.type === "turn" ? { type: "turn", turn: sharedTurn(news.turn) } : news;
    }
  }

  /** Ask the store whether the share is still valid. @throws SessionError `share_not_found` */
  async verify(): Promise<void> {
    await verified(this.#core, this.#token);
  }

  async #handle(): Promise<Handle> {
    return new Handle(this.#core, (await verified(this.#core, this.#token)).session);
  }
}

function isShownIn({ input, output }: SharedTurn, hash: string): boolean {
  return referencesIn([...input, ...output] as readonly Pick<Message, "content">[]).some(
    (reference) => reference.hash === hash,
  );
}

async function verified(core: Core, token: string): Promise<OpenedShare> {
  const opened = await openedBy(core, token);
  if (opened === undefined) throw new SessionError("share_not_found", {});
  return opened;
}

async function sharesOf(core: Core, session: SessionRecord): Promise<readonly ShareInfo[]> {
  const shares: ShareInfo[] = [];
  for await (const page of recordPages(core, sharesScope, sharedName(session))) {
    for (const record of page) {
      const content = shareOf(core, record);
      if (content !== undefined && opens(content, session)) shares.push(infoOf(record, content));
    }
  }
  return shares;
}

/** @throws SessionError `session_not_found`, `id_invalid` */
async function found(core: Core, tenant: string, id: string): Promise<SessionRecord> {
  const sessionId = parseId(id, "sessionId");
  const record = (await core.find({ tenant, id: sessionId }))?.record;
  if (record === undefined) throw new SessionError("session_not_found", defined({ sessionId, tenant }));
  return record;
}

function infoOf(record: SessionRecord, { session }: ShareContent): ShareInfo {
  return {
    id: record.id,
    session,
    createdAt: new Date(record.createdAt),
    expiresAt: new Date(record.expiresAt),
  };
}
