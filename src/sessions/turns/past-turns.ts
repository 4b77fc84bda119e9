import { isShown } from "../../domain/request/model-request.ts";
import { isSealed, readableTurns, type Turn } from "../../domain/turns/turn.ts";
import { turnsToLoad, windowTurnsMax, type WindowBounds } from "../../domain/request/window.ts";
import type { LoadRequest } from "../../store/store.ts";
import type { Handle } from "../handle/handle.ts";

/** The end of the log of turns, as a load asks for it. */
export type TurnTail = LoadRequest["tails"][number] & { readonly bytesMax: number };

/** The tail of the turns that a window of these bounds needs, and one more: a turn that a dead writer left open. */
export function tailFor(window: WindowBounds, bytesMax: number): TurnTail {
  const last = turnsToLoad(window);
  return { log: "turns", last: last === 0 ? 0 : last + 1, bytesMax };
}

/**
 * The turns before the question, as far as its window needs them. `loaded` is the tail that was read when the turn began.
 * It is read again where it is undefined, where it holds a turn of a dead writer, which is sealed by now, where the agent
 * that answers has a larger window, and where turns that a model is not shown take the place of others. A model is not
 * shown a turn that cannot be read.
 */
export async function pastTurns(
  handle: Handle,
  {
    loaded,
    tail,
    window,
    before,
  }: {
    readonly loaded: readonly Turn[] | undefined;
    readonly tail: TurnTail;
    readonly window: WindowBounds;
    readonly before: number;
  },
): Promise<readonly Turn[]> {
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
