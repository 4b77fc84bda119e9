/** Writes under idempotency keys: a retry finds the entry of the first try. */
import { sessionIds } from "../../domain/record/guards.ts";
import type { Turn } from "../../domain/turns/turn.ts";
import { encode } from "../../domain/values/codec.ts";
import { SessionError } from "../../errors.ts";
import type { Handle } from "../handle/handle.ts";
import type { WriteResult } from "../core/writable-session.ts";

/**
 * Write with an idempotency key. If the write fails and an entry with this key is stored, this is a repetition: the key
 * is looked up after any error, because the record has usually moved on since the first try.
 */
export function writeOnce<Result>(
  handle: Handle,
  key: string | null,
  write: () => Promise<Result>,
): Promise<Result | Duplicate> {
  return key === null ? write() : writeKeyed(handle, key, write);
}

type Duplicate = Extract<WriteResult, { readonly status: "duplicate" }>;

/** As {@link writeOnce}, with a key. */
export async function writeKeyed<Result>(
  handle: Handle,
  key: string,
  write: () => Promise<Result>,
): Promise<Result | Duplicate> {
  try {
    return await write();
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    const entry = await handle.entryByKey(key);
    if (entry === undefined) throw error;
    return { status: "duplicate", entry };
  }
}

/** @throws SessionError `key_reused` if the earlier turn of this key has another content */
export function guardSameContent(handle: Handle, earlier: Turn, wanted: Turn): void {
  const contentOf = (turn: Turn): string => {
    const { status, agent, model, usage, input, output, finish } = turn;
    return encode([status, agent, model ?? null, usage ?? null, callsOf(turn), input, output, finish ?? null]);
  };
  if (contentOf(earlier) === contentOf(wanted)) return;
  throw new SessionError("key_reused", {
    ...sessionIds(handle.record),
    key: earlier.key ?? "",
    seq: earlier.seq,
  });
}

/** An earlier version counted one call for output without a model or usage: a retry after an upgrade is the same turn. */
function callsOf({ model, usage, requests }: Turn): number {
  return model === undefined && usage === undefined && requests === 1 ? 0 : requests;
}
