/** Stops the answer in progress, or withdraws a question that waits for the session. */
import { requestCancel, withdrawWaiters } from "../../domain/turns/leases.ts";
import { parseId } from "../../domain/values/ids.ts";
import type { Handle } from "../handle/handle.ts";
import { untilStopped } from "../turns/running-answer.ts";
import { guardWriteKey, type WriteKey } from "./append.ts";

/** The turn that is asked to stop, or that the question was withdrawn from the queue. */
type Stopped = number | "withdrawn";

/** False if no answer runs. @throws SessionError `id_invalid` */
export async function cancelOn(handle: Handle, options: WriteKey): Promise<boolean> {
  guardWriteKey(options);
  const { key } = options;
  const parsed = key === undefined ? undefined : parseId(key, "key");
  const stopped = await handle.operate("cancel", () => stop(handle, parsed));
  // Outside of the operation: later calls of this session need not wait for the writer.
  if (typeof stopped === "number") await untilStopped(handle, stopped);
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
  const written = await handle.write(({ record }, context) =>
    turn === undefined || turn === record.openTurn ? requestCancel(record, context) : null,
  );
  return written.status === "ok" ? handle.record.cancel?.turn : undefined;
}
