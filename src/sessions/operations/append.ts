/** Appends a finished turn. */
import { guardBudget } from "../../domain/record/budget.ts";
import { headOf } from "../../domain/record/change.ts";
import { turnOf, type Turn } from "../../domain/turns/turn.ts";
import { appendTurn, type NewTurn } from "../../domain/turns/turns.ts";
import { useReferences } from "../attachments/put.ts";
import type { FoldedResult, Rule, WriteOptions } from "../core/writable-session.ts";
import { dailyGuard } from "../budgets/daily-guard.ts";
import type { Handle } from "../handle/handle.ts";
import type { FoldingPlace } from "../handle/operation-queue.ts";
import { guardSameContent, writeKeyed, writeOnce } from "../turns/keyed-write.ts";
import { lastTurn } from "../turns/last-turn.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { answeringAgent } from "./named-agent.ts";
import { newTurn, turnInputNames, type TurnInput } from "./turn-input.ts";

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

/**
 * Append a turn. It is one asynchronous function, because a thousand appends may wait at the same time, and each function that
 * waits keeps what it names.
 * @throws SessionError as `Session.append`
 */
export async function appendOn(handle: Handle, turn: TurnInput, options: WriteKey): Promise<Turn> {
  let place: FoldingPlace | undefined;
  try {
    guardWriteKey(options);
    const wanted = wantedOf(handle, turn, options.key);
    place = handle.enterFold();
    if (place.before !== undefined) await place.before;
    const used = useReferences(handle, wanted.input, wanted.output);
    if (used !== undefined) await used;
    const room = handle.makeRoom();
    if (room !== undefined) await room;
    const daily = dailyGuard(handle.core, handle.record);
    const placed: Placed = { seq: 0, at: 0 };
    const rule = appending(wanted, placed, daily && (await daily));
    const written = await (wanted.key === null
      ? handle.fold(rule, recovering, place)
      : // A repetition of a key shows its owner more turns, which the next append of this object must know.
        writeKeyed(handle, wanted.key, () => handle.fold(rule, recovering)));
    if (written.status !== "ok") return await unwritten(handle, wanted, turn.agent, written);
    return landed(handle, wanted, placed);
  } catch (error) {
    throw handle.failureOf("append", error);
  } finally {
    if (place !== undefined) handle.leaveFold(place);
  }
}

/**
 * Append a turn in one commit with changes of other records.
 * @throws SessionError as `Session.append`
 */
export async function appendWith(
  handle: Handle,
  turn: TurnInput,
  { key, beside }: WriteKey & { readonly beside: NonNullable<WriteOptions["beside"]> },
): Promise<Turn> {
  const wanted = wantedOf(handle, turn, key);
  return await handle.core.take(() =>
    handle.inOrder(async () => {
      await useReferences(handle, wanted.input, wanted.output);
      await handle.makeRoom();
      const placed: Placed = { seq: 0, at: 0 };
      const rule = appending(wanted, placed, await dailyGuard(handle.core, handle.record));
      const written = await writeOnce(handle, wanted.key, () => handle.write(rule, { ...recovering, beside }));
      if (written.status !== "ok") return await unwritten(handle, wanted, turn.agent, written);
      return landed(handle, wanted, placed);
    }),
  );
}

const recovering = { recovers: "dead" } as const;

function wantedOf(handle: Handle, turn: TurnInput, key: string | undefined): NewTurn {
  guardNames(turn, "turn", turnInputNames);
  return newTurn(turn, { agent: answeringAgent(handle, turn.agent), key: handle.core.turnKey(key) });
}

/** The number and the time, epoch ms, that the rule gave to the turn on the last record that it was applied to. */
interface Placed {
  seq: number;
  at: number;
}

function appending(turn: NewTurn, placed: Placed, guardDaily: (() => void) | undefined): Rule {
  return (draft, context, writer) => {
    guardBudget(draft.record);
    guardDaily?.();
    const change = appendTurn(draft, { turn, writer }, context);
    const { seq, at } = lastTurn(change);
    placed.seq = seq;
    placed.at = at;
    return change;
  };
}

function landed(handle: Handle, wanted: NewTurn, { seq, at }: Placed): Turn {
  handle.landed();
  const { key, status, agent, model, input, output, usage, requests, durationMs, finish } = wanted;
  // Field by field: the copy of an object calls the runtime for each of its fields.
  const turn: EditableTurn = { seq, key, at: new Date(at), status, agent, input, output, requests };
  if (model !== undefined) turn.model = model;
  if (usage !== undefined) turn.usage = usage;
  if (durationMs !== undefined) turn.durationMs = durationMs;
  if (finish !== undefined) turn.finish = finish;
  return turn;
}

type EditableTurn = { -readonly [Field in keyof Turn]: Turn[Field] };

/** The turn that is there: the append repeats it. */
async function unwritten(
  handle: Handle,
  wanted: NewTurn,
  named: string | undefined,
  written: Exclude<FoldedResult, { readonly status: "ok" }>,
): Promise<Turn> {
  if (written.status === "unchanged") throw new Error("an append changes something");
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

/**
 * The first attempt was committed, but its response was lost: if no turn followed it, the owner has seen all turns.
 */
async function seeOwn(handle: Handle, seq: number): Promise<void> {
  const { record } = await handle.peek();
  if (headOf(record, "turns") === seq && handle.seenTurn === seq - 1) await handle.refresh();
}
