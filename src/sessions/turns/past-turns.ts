import { remembered, type Remembered } from "../../domain/request/memory.ts";
import { isShown } from "../../domain/request/shown-turn.ts";
import { isSealed, readableTurns, type Turn } from "../../domain/turns/turn.ts";
import { turnsToLoad, windowTurnsMax, type WindowBounds } from "../../domain/request/window.ts";
import type { LoadRequest } from "../../store/store.ts";
import type { Handle } from "../handle/handle.ts";
import { memoryFor } from "../memory/read-memory.ts";

/** The end of the log of turns, as a load asks for it. */
export type TurnTail = LoadRequest["tails"][number] & { readonly bytesMax: number };

/** The tail of the turns that a window of these bounds needs, and one more: a turn that a dead writer left open. */
export function tailFor(window: WindowBounds, bytesMax: number): TurnTail {
  const last = turnsToLoad(window);
  return { log: "turns", last: last === 0 ? 0 : last + 1, bytesMax };
}

/** The turns before a question, and what was read of them. */
interface PastQuery {
  readonly loaded: readonly Turn[] | undefined;
  readonly tail: TurnTail;
  readonly window: WindowBounds;
  readonly before: number;
}

/** The turns before the question with the memory of the session, and the window that the memory leaves for them. */
export async function rememberedTurns(handle: Handle, query: PastQuery): Promise<Remembered<Turn>> {
  const { window, before, tail } = query;
  const turns = await pastTurns(handle, query);
  const memory = await memoryFor(handle.core, handle.record, { before, loaded: turns });
  const past = remembered(turns, { memory, window });
  const isCut = (turns[0]?.seq ?? 1) > Math.max(1, (memory?.summary?.to ?? 0) + 1);
  // Turns that are left out take the place of others.
  if (!isCut || memory === undefined || memory.leftOut.size === 0 || past.turns.length >= window.turns) return past;
  const wider = await readTail(handle, { ...tail, last: windowTurnsMax });
  const loaded = wider.filter(({ seq }) => seq < before);
  return remembered(loaded, { memory: await memoryFor(handle.core, handle.record, { before, loaded }), window });
}

/**
 * The turns before the question, as far as its window needs them. `loaded` is the tail that was read when the turn began.
 * It is read again where it is undefined, where it holds a turn of a dead writer, which is sealed by now, where the agent
 * that answers has a larger window, and where turns that a model is not shown take the place of others. A model is not
 * shown a turn that cannot be read.
 */
export async function pastTurns(handle: Handle, { loaded, tail, window, before }: PastQuery): Promise<readonly Turn[]> {
  const wanted = tailFor(window, tail.bytesMax);
  if (loaded === undefined) {
    const newest = await readTail(handle, wanted);
    return await pastTurns(handle, { loaded: newest, tail: wanted, window, before });
  }
  const shown = loaded.filter((turn) => turn.seq < before && isSealed(turn)).filter(isShown).length;
  const isCut = loaded.length >= tail.last && tail.last > 0;
  let last = tail.last;
  if (wanted.last > tail.last) ({ last } = wanted);
  else if (isCut && shown < Math.min(window.turns, tail.last - 1)) last = windowTurnsMax;
  const isCurrent = last === tail.last && loaded.every(isSealed);
  const turns = isCurrent ? loaded : await readTail(handle, { ...wanted, last });
  return turns.filter(({ seq }) => seq < before);
}

async function readTail(handle: Handle, tail: TurnTail): Promise<readonly Turn[]> {
  const [entries = []] = (await handle.peek([tail])).tails;
  return readableTurns(entries);
}
