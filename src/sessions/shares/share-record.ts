/**
 * The records of shares. The store has a hash of each token, and finds the shares of a session by a hash of its key. States of a
 * share:
 * - valid. Exits: it is revoked; its time is up; its session is removed, or gets another user.
 * - deleted: its token is as unknown as a text that never was one. The sweep deletes an expired share.
 */
import type { SessionKey } from "../../domain/record/entry.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { internalScope } from "../../domain/values/internal-scope.ts";
import type { Core } from "../core/core.ts";
import { liveMetadata } from "../core/internal-record.ts";
import { isSameHash } from "../core/keyed-hash.ts";
import { recordPages } from "../core/record-pages.ts";
import { nodeCrypto } from "../../node-crypto.ts";

/** The metadata of a share's record. */
export type ShareContent = {
  readonly tenant: string;
  readonly session: string;
  /** The creation of the session: distinguishes it from a later session with its id. */
  readonly born: number;
  /** The user of the session as it was shared. A change to another user ends the share; a claim of a guest's session does not. */
  readonly user: string | null;
  readonly hash: string;
};

/** The shares of all tenants are in one scope: a request with a token does not name its tenant. */
export const sharesScope: string = internalScope("", "shares");

const tokenForm = /^pds_([0-9a-z]{26})_[\w-]{43}$/;

/** The token of a share. */
export function shareToken(id: string, secret: Uint8Array): string {
  return `pds_${id}_${Buffer.from(secret).toString("base64url")}`;
}

export function shareKey(id: string): SessionKey {
  return { tenant: sharesScope, id };
}

/** In hexadecimal. A token has 256 bits of chance: no slow hash is needed to keep it from being guessed. */
export function tokenHash(token: string): string {
  return nodeCrypto().createHash("sha256").update(token).digest("hex");
}

/** The name under which the store finds the shares of a session. */
export function sharedName({ tenant, id }: SessionKey): string {
  return nodeCrypto()
    .createHash("sha256")
    .update(JSON.stringify([tenant, id]))
    .digest("hex");
}

export function shareOf(core: Core, record: SessionRecord | undefined): ShareContent | undefined {
  return liveMetadata(core, record) as ShareContent | undefined;
}

/** A share that a token opens, and its session. */
export interface OpenedShare {
  readonly share: SessionRecord;
  readonly session: SessionRecord;
}

/** Undefined for a text that is no token, and for a share that was revoked, has expired, or whose session was removed. */
export async function openedBy(core: Core, token: unknown): Promise<OpenedShare | undefined> {
  const id = typeof token === "string" ? tokenForm.exec(token)?.[1] : undefined;
  if (id === undefined) return undefined;
  const share = (await core.find(shareKey(id)))?.record;
  const content = shareOf(core, share);
  if (share === undefined || content === undefined) return undefined;
  if (!isSameHash(Buffer.from(content.hash, "hex"), Buffer.from(tokenHash(String(token)), "hex"))) return undefined;
  const session = (await core.find({ tenant: content.tenant, id: content.session }))?.record;
  return session !== undefined && opens(content, session) ? { share, session } : undefined;
}

/** True while the session is the one that was shared, and of the same user. */
export function opens({ born, user }: ShareContent, session: SessionRecord): boolean {
  return session.createdAt === born && (user === null || user === session.user);
}

/** The records of a session's shares, page by page; none of a session under legal hold. */
export async function* sharePages(
  core: Core,
  session: Pick<SessionRecord, "tenant" | "id" | "legalHold">,
): AsyncGenerator<readonly SessionRecord[]> {
  if (session.legalHold === null) yield* recordPages(core, sharesScope, sharedName(session));
}

/** Removes the shares of a session that was removed. */
export async function removeSharesOf(core: Core, session: SessionKey): Promise<void> {
  for await (const page of recordPages(core, sharesScope, sharedName(session))) {
    // A share that conflicts was revoked meanwhile.
    for (const record of page) await core.commit([removeSession(record)]);
  }
}
