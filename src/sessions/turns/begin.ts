import type { Change, Draft } from "../../domain/record/change.ts";
import type { Entry } from "../../domain/record/entry.ts";
import { parseId } from "../../domain/values/ids.ts";
import { turnOf, type Turn } from "../../domain/turns/turn.ts";
import { beginTurn, type OpenTurn } from "../../domain/turns/turns.ts";
import { turnOpen, type Context } from "../../domain/record/guards.ts";
import type { Handle } from "../core/handle.ts";
import type { Rule, WriteOptions } from "../core/writable-session.ts";
import { guardSameContent, writeOnce } from "./keyed-write.ts";
import { TurnInProgress } from "./turn-in-progress.ts";

export type BeginResult =
  | { readonly status: "begun"; readonly inProgress: TurnInProgress }
  /** An earlier try with the same key began this turn. */
  | { readonly status: "repeated"; readonly turn: Turn };

/** How a turn is begun. */
export interface BeginOptions extends WriteOptions {
  readonly ticket: string | null;
  /** The caller named the agent; a repetition must name the same one. */
  readonly named: boolean;
  /**
   * Chooses the agent on the record that is written; may start a handoff in the draft.
   * @default the turn's agent
   */
  readonly choose?: (draft: Draft, context: Context) => Pick<OpenTurn, "agent" | "model">;
}

/**
 * Begin a turn under the fence of this handle; a handle without one takes a lease in the same commit.
 * @throws SessionError `busy`, also if the turn of the same key is still being answered
 */
export async function beginOn(handle: Handle, turn: OpenTurn, options: BeginOptions): Promise<BeginResult> {
  return await handle.core.take(() => beginTurnOn(handle, turn, options));
}

async function beginTurnOn(
  handle: Handle,
  turn: OpenTurn,
  { ticket, named, choose, ...options }: BeginOptions,
): Promise<BeginResult> {
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
  if (brings) handle.takeLease();
  const ended = (settled: boolean): void => {
    if (!brings) return;
    if (settled) core.instance.disuse(handle.key, fence);
    else handle.abandon(fence);
    handle.dropLease();
  };
  return {
    status: "begun",
    inProgress: new TurnInProgress(handle, open, { releases: brings, ended }),
  };
}

/** The turn that an earlier try with the same key began. @throws SessionError `turn_open` while it is being answered */
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

/** The turn that a change appended. */
export function lastTurn(change: Change): Entry {
  const entry = change.splices.find(({ log }) => log === "turns")?.entries.at(-1);
  if (entry === undefined) throw new Error("the change brought no turn");
  return entry;
}
