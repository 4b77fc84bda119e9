/** A turn that waits: shows it, resumes it, and seals it. */
import { closeToolCalls, resumeOf, turnOf, type Turn } from "../../domain/turns/turn.ts";
import type { Chunk } from "../../domain/turns/chunk.ts";
import type { Sealing } from "../../domain/turns/turns.ts";
import { guardToken, resumeTurn, sealWaiting, type Resumption } from "../../domain/writes/waiting.ts";
import { isWordless, waitsAt, type AbandonedTurn } from "../../domain/turns/leases.ts";
import { parseId } from "../../domain/values/ids.ts";
import { hasCode } from "../../errors.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { readAbandonedTurn, readReplaced } from "../handle/abandoned-turn.ts";
import type { Handle } from "../handle/handle.ts";
import type { Flush } from "../../domain/writes/flush.ts";
import { useReferences } from "../attachments/put.ts";
import { answering } from "../turns/begin.ts";
import { guardSeal, sealedUsage, type Seal } from "../turns/progress/seal.ts";
import type { TurnInProgress } from "../turns/progress/turn-in-progress.ts";
import { putStaying } from "../turn-marks/turn-changes.ts";
import { waitingTurn, type WaitingTurn } from "../turns/progress/waiting-turn.ts";

/** The turn that waits; null if none does, or its time is up. */
export async function waitingOn(handle: Handle): Promise<WaitingTurn | null> {
  const { record, tails } = await handle.peek([{ log: "turns", last: 1 }]);
  const entry = tails[0]?.at(-1);
  const { waiting } = record;
  if (waiting === null || entry === undefined || !waitsAt(record, handle.core.now())) return null;
  const turn = turnOf(entry);
  return waitingTurn(turn, waiting, resumeOf(entry) ?? { state: null, notRun: [], asks: [] });
}

/** How a turn continues. */
export type ResumeHow = Pick<Resumption, "decided"> & { readonly flush?: Required<Flush> };

/** @throws SessionError as `Session.resume` */
export async function resumeOn(handle: Handle, token: string, how: ResumeHow = {}): Promise<TurnInProgress> {
  handle.core.guardStore();
  const parsed = parseId(token, "token");
  return await handle.core.take(() => resumeNext(handle, parsed, how));
}

async function resumeNext(handle: Handle, token: string, { flush, ...decided }: ResumeHow): Promise<TurnInProgress> {
  const { core } = handle;
  await handle.refresh();
  await guardWaits(handle, token);
  const { turn, chunks, written } = await readWaiting(handle, token);
  const brings = handle.fence === null;
  if (brings) await core.instance.ensureAlive();
  // The waiters of the queue wait for this very turn.
  const lease = brings ? { instance: core.instance.id, ttlMs: null, ticket: null, ahead: true } : null;
  const result = await handle.write(
    (draft, context, writer) => resumeTurn(draft, { token, turn, writer, lease, ...decided }, context),
    { recovers: "dead" },
  );
  if (result.status !== "ok") throw new Error("a resumption changes something, and claims no key");
  const output: readonly Chunk[] = chunks.length === written ? chunks : turn.output.map((message) => ({ message }));
  return answering(handle, result.change, { brings, flush, written: output });
}

/** @throws SessionError as `Session.sealWaiting` */
export async function sealWaitingOn(handle: Handle, token: string, seal: Seal): Promise<Turn> {
  handle.core.guardStore();
  const parsed = parseId(token, "token");
  guardSeal(seal);
  return await handle.core.take(() => sealNext(handle, parsed, seal));
}

async function sealNext(handle: Handle, token: string, seal: Seal): Promise<Turn> {
  await handle.refresh();
  await guardWaits(handle, token);
  const { turn, notRun } = await readWaiting(handle, token);
  const { status = "done", output = turn.output } = seal;
  // As in any seal: a finished turn may end with a call that its caller runs.
  const whole = status === "done" ? output : closeToolCalls(output, notRun);
  const used = useReferences(handle, whole);
  if (used !== undefined) await used;
  const sealing = (open: Turn, now: number): Sealing => ({
    status,
    output: whole,
    // The caller has called no model, unless it says so.
    ...sealedUsage(open, { ...seal, requests: seal.requests ?? 0 }, { output: whole, before: turn.output.length, now }),
  });
  let sealed: Turn | undefined;
  return await retryOnConflict(sessionIds(handle.record), async (attempt) => {
    // Marks or ratings were changed since they were read.
    if (attempt > 1) await handle.refresh();
    const end = { open: turn, isWordless: isWordless({ status, output: whole }) };
    const { entries: replaced, marks } = await readReplaced(handle.core, handle.record, end);
    await handle.write(
      (draft, context, writer) => {
        sealed = undefined;
        if (marks !== undefined && !putStaying(draft, marks, context)) return null;
        const { change, turn: done } = sealWaiting(draft, { token, turn, writer, sealing, replaced }, context);
        sealed = done;
        return change;
      },
      { recovers: "dead" },
    );
    return sealed;
  });
}

/** The turn and its chunks. They do not change while the turn waits. */
async function readWaiting(handle: Handle, token: string): Promise<Omit<AbandonedTurn, "replaced">> {
  const { openTurn } = handle.record;
  try {
    return await readAbandonedTurn(handle.core, handle.record, openTurn ?? 0);
  } catch (error) {
    // Another caller may have resumed the turn meanwhile, and its session may have been truncated since.
    await handle.refresh();
    await guardWaits(handle, token);
    throw error;
  }
}

/** A turn whose time is up is sealed before the error is thrown. */
async function guardWaits(handle: Handle, token: string): Promise<void> {
  try {
    guardToken(handle.record, token, handle.core.context());
  } catch (error) {
    if (hasCode(error, "interrupted")) await handle.recoverAbandoned();
    throw error;
  }
}
