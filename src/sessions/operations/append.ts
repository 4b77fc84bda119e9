/** Appends a finished turn. */
import { guardBudget } from "../../domain/record/budget.ts";
import { headOf } from "../../domain/record/change.ts";
import { turnOf, type Turn } from "../../domain/turns/turn.ts";
import { appendTurn, type NewTurn } from "../../domain/turns/turns.ts";
import type { FoldedResult, FoldOptions, Rule, WriteOptions } from "../core/writable-session.ts";
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
  const { core } = handle;
  const wanted = newTurn(turn, { agent: answeringAgent(handle, turn.agent), key: core.turnKey(key) });
  // `close` waits for the append.
  core.beginTake();
  try {
    if (beside !== undefined)
      return await handle.inOrder(() =>
        appendNext(handle, wanted, turn.agent, (rule) => handle.write(rule, { recovers: "dead", beside })),
      );
    const place = handle.enterFold();
    try {
      if (place.before !== undefined) await place.before;
      // A repetition of a key shows its owner more turns, which the next append of this object must know.
      const queued = wanted.key === null ? place.queued : undefined;
      return await appendNext(handle, wanted, turn.agent, (rule) => handle.fold(rule, recovering, queued));
    } finally {
      handle.leaveFold(place);
    }
  } finally {
    core.endTake();
  }
}

const recovering: FoldOptions = { recovers: "dead" };

async function appendNext(
  handle: Handle,
  wanted: NewTurn,
  named: string | undefined,
  write: (rule: Rule) => Promise<FoldedResult>,
): Promise<Turn> {
  const room = handle.makeRoom();
  if (room !== undefined) await room;
  const daily = dailyGuard(handle.core, handle.record);
  const guardDaily = daily && (await daily);
  // Of the last record that the rule was applied to.
  let seq = 0;
  let atMs = 0;
  const rule: Rule = (draft, context, writer) => {
    guardBudget(draft.record);
    guardDaily?.();
    const change = appendTurn(draft, { turn: wanted, writer }, context);
    ({ seq, at: atMs } = lastTurn(change));
    return change;
  };
  const written = await writeOnce(handle, wanted.key, () => write(rule));
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
  return { seq, ...wanted, at: new Date(atMs) };
}

/**
 * The first attempt was committed, but its response was lost: if no turn followed it, the owner has seen all turns.
 */
async function seeOwn(handle: Handle, seq: number): Promise<void> {
  const { record } = await handle.peek();
  if (headOf(record, "turns") === seq && handle.seenTurn === seq - 1) await handle.refresh();
}
