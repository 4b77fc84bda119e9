/**
 * What was said while the store was away, until it is told to the store. A session of the fallback *waits* while it has
 * turns or changes of the floor that the store has not got; they are told in order, each under its key, so that one that
 * is told twice is kept once. A session that the store refuses for good is *parked*: it stays here, the others go on.
 */
import { channel } from "node:diagnostics_channel";
import { headOf } from "../domain/change.ts";
import { decode } from "../domain/codec.ts";
import { keyText, type SessionKey } from "../domain/entry.ts";
import { floorAt, handOff, releaseFloor } from "../domain/floor.ts";
import { removeSession, type NewSession } from "../domain/lifecycle.ts";
import type { SessionRecord } from "../domain/record.ts";
import { isInnerScope } from "../domain/scope.ts";
import { turnOf, type Turn } from "../domain/turn.ts";
import { appendTurn } from "../domain/turns.ts";
import { SessionError } from "../errors.ts";
import type { Core } from "./core.ts";
import { isDeviceName, openWay, wayOf } from "./device-way.ts";
import type { Handle } from "./handle.ts";
import { ensureOn } from "./opening.ts";

/** What waits to be told to the store. */
export interface OutboxState {
  /** Turns the store has not got. */
  readonly waiting: number;
  /** Sessions they are of. */
  readonly sessions: number;
  /** When the oldest of them was touched last; null: nothing waits. */
  readonly oldest: Date | null;
  /** Sessions that the store refused for good, and why. */
  readonly parked: readonly { readonly session: string; readonly tenant: string; readonly code: string }[];
}

/** What of a session of the fallback the store has got. */
interface Told {
  turns: number;
  events: number;
  parked: string | undefined;
}

const pageSize = 100;
/** Who holds a session of the fallback may go on with it for so long after its last word. */
const keptMs = 10 * 60_000;
/** So often may others' turns come in between. */
const attemptsMax = 50;

const told = channel("perdure:replay");

export class Outbox {
  readonly #fallback: Core;
  readonly #store: Core;
  readonly #told = new Map<string, Told>();

  /** `fallback` holds what was said, `store` is to be told. */
  constructor({ fallback, store }: { fallback: Core; store: Core }) {
    this.#fallback = fallback;
    this.#store = store;
  }

  async state(): Promise<OutboxState> {
    const state = {
      waiting: 0,
      sessions: 0,
      oldest: null as Date | null,
      parked: [] as OutboxState["parked"][number][],
    };
    await this.#eachRecord(async (record) => {
      const { turns, events, parked } = this.#toldOf(record);
      if (parked !== undefined) state.parked.push({ session: record.id, tenant: record.tenant, code: parked });
      if (headOf(record, "turns") === turns && headOf(record, "events") === events) return;
      state.waiting += headOf(record, "turns") - turns;
      state.sessions++;
      const at = new Date(record.lastActivityAt);
      if (state.oldest === null || at < state.oldest) state.oldest = at;
    });
    return state;
  }

  /** Tell the store all that waits; false where nothing is held any more. @throws SessionError `store_unavailable` while it is away */
  async tell(): Promise<boolean> {
    let holds = false;
    await this.#eachRecord(async (record) => {
      holds = true;
      try {
        await this.#tellOne(record);
      } catch (error) {
        // In use, or somebody else's for now: it goes on waiting, and the others do not wait for it.
        if (!(error instanceof SessionError) || error.code === "store_unavailable") throw error;
      }
    });
    return holds;
  }

  /** Tell the store what waits of one session, before more is said in it there. True where something was told. */
  async tellOf(key: SessionKey): Promise<boolean> {
    const record = (await this.#fallback.find(key))?.record;
    return record !== undefined && (await this.#tellOne(record));
  }

  async #tellOne(record: SessionRecord): Promise<boolean> {
    const mine = this.#toldOf(record);
    if (mine.parked !== undefined) return false;
    const turns = sealedTurns(record);
    const events = headOf(record, "events");
    if (mine.turns >= turns && mine.events >= events) {
      await this.#forget(record, mine);
      return false;
    }
    try {
      const handle = await this.#open(record);
      while (mine.turns < turns) {
        for (const turn of await this.#turnsAfter(record, mine.turns, turns)) {
          await this.#write(handle, turn);
          mine.turns = turn.seq;
        }
      }
      if (mine.events < events) await this.#tellFloor(handle, record);
      mine.events = events;
      told.publish({ session: record.id, tenant: record.tenant, turns: mine.turns });
      return true;
    } catch (error) {
      if (!(error instanceof SessionError) || error.retryable) throw error;
      mine.parked = error.code;
      told.publish({ session: record.id, tenant: record.tenant, parked: error.code });
      return false;
    }
  }

  /** The store's session that this one stands for, as whoever opened it would have found it. */
  async #open(record: SessionRecord): Promise<Handle> {
    const { tenant, id } = record;
    const fresh = await this.#newSession(record);
    if (!isDeviceName(id)) return await ensureOn(this.#store, fresh, { onExpired: "revive", onEnded: "fail" });
    const { agent, metadata, instructions } = fresh;
    const options = { agent, metadata, ...(instructions === null ? {} : { instructions }) };
    return await openWay(this.#store, tenant, await wayOf(this.#store, tenant, id), options);
  }

  async #newSession(record: SessionRecord): Promise<NewSession> {
    const { tenant, id, agent, user, metadata, ttlMs, maxAgeMs } = record;
    const loaded = await this.#fallback.find(record, [{ log: "instructions", last: 1 }]);
    const entry = loaded?.tails[0]?.[0];
    const instructions = entry === undefined ? null : (decode(entry.data) as string);
    return { key: { tenant, id }, agent, user, metadata, ttlMs, maxAgeMs, instructions };
  }

  async #turnsAfter(record: SessionRecord, after: number, to: number): Promise<readonly Turn[]> {
    const range = { log: "turns", from: after + 1, to, order: "ascending", limit: pageSize } as const;
    return (await this.#fallback.store.read(record, range)).map(turnOf);
  }

  /** After what others have said there meanwhile: the key, not the place, makes it once. */
  async #write(handle: Handle, { seq: _, status, ...turn }: Turn): Promise<void> {
    const sealed = status === "open" ? "interrupted" : status;
    for (let attempt = 1; ; attempt++) {
      try {
        await handle.write(
          (draft, context, writer) => appendTurn(draft, { turn: { ...turn, status: sealed }, writer }, context),
          {
            recovers: "dead",
          },
        );
        return;
      } catch (error) {
        const isBehind = error instanceof SessionError && error.code === "conflict";
        if (!isBehind) throw error;
        if (attempt >= attemptsMax)
          throw new SessionError("contended", {
            sessionId: handle.key.id,
            tenant: handle.key.tenant,
            attempts: attemptsMax,
          });
        await handle.refresh();
      }
    }
  }

  async #tellFloor(handle: Handle, record: SessionRecord): Promise<void> {
    const floor = floorAt(record, this.#store.now());
    await handle.write((draft, context) => {
      if (floor === null) return releaseFloor(draft.base, context);
      const { agent, note, expiresAt } = floor;
      return handOff(draft.base, { agent, note, ttlMs: Math.max(1, expiresAt - context.now) }, context);
    });
  }

  /** All of it is told, and nobody has gone on with it for a while. */
  async #forget(record: SessionRecord, mine: Told): Promise<void> {
    const isIdle = this.#fallback.now() - record.lastActivityAt > keptMs;
    if (!isIdle || record.openTurn !== null || mine.turns < headOf(record, "turns")) return;
    const outcome = await this.#fallback.commit([removeSession(record)]);
    if (outcome.status === "ok") this.#told.delete(keyText(record));
  }

  #toldOf(record: SessionRecord): Told {
    const key = keyText(record);
    let mine = this.#told.get(key);
    if (mine === undefined) {
      mine = { turns: 0, events: 0, parked: undefined };
      this.#told.set(key, mine);
    }
    return mine;
  }

  async #eachRecord(visit: (record: SessionRecord) => Promise<unknown>): Promise<void> {
    const query = { order: "due", before: Number.MAX_SAFE_INTEGER, limit: pageSize } as const;
    for (let after: { after?: string } = {}; ;) {
      const { records, next } = await this.#fallback.store.find({ ...query, ...after });
      for (const record of records) if (!isInnerScope(record.tenant)) await visit(record);
      if (next === undefined) return;
      after = { after: next };
    }
  }
}

/** The number of the last turn that is no longer being answered. */
function sealedTurns(record: SessionRecord): number {
  return record.openTurn === null ? headOf(record, "turns") : record.openTurn - 1;
}
