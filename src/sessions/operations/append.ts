/** Appends a finished turn. */
import { guardBudget } from "../../domain/record/budget.ts";
import { headOf } from "../../domain/record/change.ts";
import { turnOf, type Turn } from "../../domain/turns/turn.ts";
import { appendTurn, type NewTurn } from "../../domain/turns/turns.ts";
import { defined } from "../../domain/values/defined.ts";
import type { WriteOptions } from "../core/writable-session.ts";
import { dailyGuard } from "../budgets/daily-guard.ts";
import type { Handle } from "../handle/handle.ts";
import { lastTurn } from "../turns/begin.ts";
import { guardSameContent, writeOnce } from "../turns/keyed-write.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { answeringAgent } from "./named-agent.ts";
import { newTurn, type TurnInput } from "./turn-input.ts";

/** Makes a write idempotent. */
export interface WriteKey {
  /** An idempotency key, unique in the session: a retry with the same key and content returns the same turn. */
  readonly key?: string;
}

const keyNames: OptionNames<WriteKey> = { key: true };

/** @throws SessionError `argument_invalid` for an option that does not exist */
export function guardWriteKey(options: WriteKey): void {
  guardNames(options, "options", keyNames);
}

/** @throws SessionError as `Session.append` */
export async function appendOn(
  handle: Handle,
  turn: TurnInput,
  { key, beside }: WriteKey & Pick<WriteOptions, "beside">,
): Promise<Turn> {
  const wanted = newTurn(turn, { agent: answeringAgent(handle, turn.agent), key: handle.core.turnKey(key) });
  const append = (queued: (() => void) | undefined): Promise<Turn> =>
    appendNext(handle, wanted, { named: turn.agent, ...defined({ beside, queued }) });
  // `close` waits for the append.
  return await handle.core.take(() => {
    if (beside !== undefined) return handle.inOrder(() => append(undefined));
    // A repetition of a key shows its owner more turns, which the next append of this object must know.
    return wanted.key === null ? handle.inFold(append) : handle.inOrder(() => append(() => undefined));
  });
}

async function appendNext(
  handle: Handle,
  wanted: NewTurn,
  { named, ...options }: { readonly named: string | undefined } & Pick<WriteOptions, "beside" | "queued">,
): Promise<Turn> {
  await handle.makeRoom();
  const guardDaily = await dailyGuard(handle.core, handle.record);
  const written = await writeOnce(
    handle,
    wanted.key,
    (draft, context, writer) => {
      guardBudget(draft.record);
      guardDaily();
      return appendTurn(draft, { turn: wanted, writer }, context);
    },
    { recovers: "dead", ...options },
  );
  if (written.status === "duplicate") {
    const earlier = turnOf(written.entry);
    guardSameContent(handle, earlier, {
      ...wanted,
      seq: earlier.seq,
      at: earlier.at,
      agent: named ?? earlier.agent,
    });
    await seeOwn(handle, earlier.seq);
    return earlier;
  }
  if (written.status === "unchanged") throw new Error("an append changes something");
  handle.landed();
  const { seq, at } = lastTurn(written.change);
  return { seq, at, ...wanted };
}

/**
 * The first attempt was committed, but its response was lost: if no turn followed it, the owner has seen all turns.
 */
async function seeOwn(handle: Handle, seq: number): Promise<void> {
  const { record } = await handle.peek();
  if (headOf(record, "turns") === seq && handle.seenTurn === seq - 1) await handle.refresh();
}
