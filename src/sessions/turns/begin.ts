import type { Change, Draft } from "../../domain/record/change.ts";
import { encode } from "../../domain/values/codec.ts";
import type { Entry } from "../../domain/record/entry.ts";
import { parseId } from "../../domain/values/ids.ts";
import { turnOf, type Turn } from "../../domain/turns/turn.ts";
import { beginTurn, type OpenTurn } from "../../domain/turns/turns.ts";
import { sessionIds, turnOpen, type Context } from "../../domain/record/guards.ts";
import { SessionError } from "../../errors.ts";
import type { Handle } from "../core/handle.ts";
import type { Rule, WriteOptions, WriteResult } from "../core/writable-session.ts";
import { TurnInProgress } from "./turn-in-progress.ts";

export type Begun =
  | { readonly status: "begun"; readonly inProgress: TurnInProgress }
  /** An earlier try with the same key did it. */
  | { readonly status: "repeated"; readonly turn: Turn };

/** How a turn is begun. */
export interface BeginOptions extends WriteOptions {
  readonly ticket: string | null;
  /** The caller chose the agent: then a repetition must name the same. */
  readonly named: boolean;
  /** Who answers, judged on the very record that the turn is put on; it may give the floor on the way. @default the turn's */
  readonly choose?: (draft: Draft, context: Context) => Pick<OpenTurn, "agent" | "model">;
}

/**
 * Begin a turn on this handle, whose own fence it writes under; without one it takes a lease in the same commit.
 * @throws SessionError `busy` also where the same key's turn is still being answered
 */
export async function beginOn(handle: Handle, turn: OpenTurn, options: BeginOptions): Promise<Begun> {
  return await handle.core.take(() => beginTurnOn(handle, turn, options));
}

async function beginTurnOn(
  handle: Handle,
  turn: OpenTurn,
  { ticket, named, choose, ...options }: BeginOptions,
): Promise<Begun> {
  const { core } = handle;
  if (turn.key !== null) parseId(turn.key, "key");
  const brings = handle.fence === null;
  if (brings) await core.instance.ensureAlive();
  const ahead = options.recovers === "any";
  const lease = brings ? { instance: core.instance.id, ttlMs: null, ticket, ahead } : null;
  const rule: Rule = (draft, context, writer) =>
    beginTurn(draft, { turn: { ...turn, ...choose?.(draft, context) }, writer, lease }, context);
  const written = await writeOnce(handle, turn.key, rule, options);
  if (written.status === "duplicate")
    return { status: "repeated", turn: await repeated(handle, turn, named, written.entry) };
  if (written.status === "unchanged") throw new Error("a begin changes something");
  const open = turnOf(lastTurn(written.change));
  const { fence } = handle.record;
  if (brings) handle.fence = fence;
  const ended = (settled: boolean): void => {
    if (!brings) return;
    if (settled) core.instance.disuse(handle.key, fence);
    else handle.abandon(fence);
    handle.fence = null;
  };
  return {
    status: "begun",
    inProgress: new TurnInProgress(handle, open, { releases: brings, ended }),
  };
}

/** What came of the turn that bears the key already. @throws SessionError `turn_open` while it is being answered */
async function repeated(handle: Handle, turn: OpenTurn, named: boolean, entry: Entry): Promise<Turn> {
  let earlier = turnOf(entry);
  guardSameContent(handle, earlier, { ...earlier, agent: named ? turn.agent : earlier.agent, input: turn.input });
  if (earlier.status === "open") {
    await handle.recoverAbandoned();
    earlier = turnOf((await handle.entryByKey(entry.key ?? "")) ?? entry);
  }
  if (earlier.status !== "open") return earlier;
  throw turnOpen(handle.record, earlier.seq);
}

/** The turn that a change put at the end of the log. */
export function lastTurn(change: Change): Entry {
  const entry = change.splices.find(({ log }) => log === "turns")?.entries.at(-1);
  if (entry === undefined) throw new Error("the change brought no turn");
  return entry;
}

/**
 * Write with an idempotency key: whatever the newest record says against it, an entry that bears the key already makes
 * this a repetition.
 */
export async function writeOnce(
  handle: Handle,
  key: string | null,
  rule: Rule,
  options: WriteOptions,
): Promise<WriteResult> {
  try {
    return await handle.write(rule, options);
  } catch (error) {
    if (key === null || !(error instanceof SessionError)) throw error;
    const entry = await handle.entryByKey(key);
    if (entry === undefined) throw error;
    return { status: "duplicate", entry };
  }
}

/** @throws SessionError `key_reused` where the earlier turn of this key is not the one wanted now */
export function guardSameContent(handle: Handle, earlier: Turn, wanted: Turn): void {
  const contentOf = ({ status, agent, model, usage, requests, input, output, finish }: Turn): string =>
    encode([status, agent, model ?? null, usage ?? null, requests, input, output, finish ?? null]);
  if (contentOf(earlier) === contentOf(wanted)) return;
  throw new SessionError("key_reused", {
    ...sessionIds(handle.record),
    key: earlier.key ?? "",
    seq: earlier.seq,
  });
}
