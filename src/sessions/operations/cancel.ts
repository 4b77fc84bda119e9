/** Stops the answer in progress, or withdraws a question that waits for the session. */
import { changeOf } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { interruptions } from "../../errors/answer-problems.ts";
import { requestCancel, withdrawWaiters } from "../../domain/turns/leases.ts";
import { parseId } from "../../domain/values/ids.ts";
import type { Handle } from "../handle/handle.ts";
import { guardWriteKey, type WriteKey } from "./append.ts";

/** The turn that is asked to stop; the question was withdrawn from the queue; or a turn that waited was interrupted. */
type Stopped = number | "withdrawn" | "waiting";

/** False if no answer runs. @throws SessionError `id_invalid` */
export async function cancelOn(handle: Handle, options: WriteKey): Promise<boolean> {
  guardWriteKey(options);
  const { key } = options;
  const parsed = key === undefined ? undefined : parseId(key, "key");
  const stopped = await handle.operate("cancel", () => stop(handle, parsed));
  // Outside of the operation: later calls of this session need not wait for the writer.
  if (typeof stopped === "number") {
    const { untilStopped } = await import("../turns/running-answer.ts");
    await untilStopped(handle, stopped);
  }
  return stopped !== undefined;
}

async function stop(handle: Handle, key: string | undefined): Promise<Stopped | undefined> {
  await handle.peek();
  let turn: number | undefined;
  if (key !== undefined) {
    const waited = await handle.write(({ record }, context) => withdrawWaiters(record, key, context));
    if (waited.status === "ok") return "withdrawn";
    // Looked for after the queue: a question leaves the queue in the commit that begins its turn.
    turn = (await handle.entryByKey(key))?.seq;
    if (turn === undefined) return undefined;
  }
  const isMeant = ({ openTurn }: SessionRecord): boolean => turn === undefined || turn === openTurn;
  const written = await handle.write(({ record }, context) =>
    isMeant(record) ? requestCancel(record, context) : null,
  );
  if (written.status === "ok") return handle.record.cancel?.turn;
  return (await interruptWaiting(handle, isMeant)) ? "waiting" : undefined;
}

/** Seal a turn that waits to be resumed: it has no writer that could. */
async function interruptWaiting(handle: Handle, isMeant: (record: SessionRecord) => boolean): Promise<boolean> {
  const { waiting } = handle.record;
  if (waiting === null || !isMeant(handle.record)) return false;
  const { token } = waiting;
  const written = await handle.write(
    (draft) => (draft.base.waiting?.token === token && draft.record !== draft.base ? changeOf(draft) : null),
    { interruptsWaiting: interruptions.cancelled },
  );
  // Resumed meanwhile: its writer is asked.
  if (written.status !== "ok") return (await stop(handle, undefined)) !== undefined;
  return true;
}
