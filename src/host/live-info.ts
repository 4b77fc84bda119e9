import type { SessionKey } from "../domain/record/entry.ts";
import { stateAt } from "../domain/record/states.ts";
import type { Core } from "../sessions/core/core.ts";
import type { Actor, Phase } from "./actor/actor.ts";

/** One session as its host reports it. */
export interface LiveInfo {
  readonly id: string;
  readonly tenant: string;
  /**
   * `starting` to `gone`: live in this host. `sleeping`: not live; its next message activates it. `elsewhere`: another
   * process has its lease, or other code of this one.
   */
  readonly phase: Phase | "sleeping" | "elsewhere";
  /** The session's agent; undefined while the session is activated for the first time. */
  readonly agent: string | undefined;
  /** Messages in the mailbox, without the one that is being answered. */
  readonly mailbox: number;
  readonly restarts: number;
  /** Since activation: messages answered, and requests that `updateActivity` reported. */
  readonly requests: number;
  /** Sum of their durations, ms. */
  readonly requestsMs: number;
  /** Time since activation, ms; 0 if it is not live in this host. */
  readonly ageMs: number;
  /** Time since the last message or `updateActivity`, ms. */
  readonly idleMs: number;
  /** Heap of the session's own thread or process, bytes; undefined if it shares one, or if the heap is unknown. */
  readonly memoryBytes: number | undefined;
  /** Last failure, if the session is in phase `failed`. */
  readonly failure: string | undefined;
}

/** A session that is live in this host. */
export function liveInfo(actor: Actor): LiveInfo {
  const { key, phase, agent, mailbox, restarts, requests, requestsMs, ageMs, idleMs, memoryBytes, failure } = actor;
  return {
    id: key.id,
    tenant: key.tenant,
    phase,
    agent,
    mailbox,
    restarts,
    requests,
    requestsMs,
    ageMs,
    idleMs,
    memoryBytes,
    failure,
  };
}

/**
 * A session that is not live in this host, from the store; undefined if no message can activate it.
 * @throws SessionError the store's
 */
export async function storedInfo(core: Core, key: SessionKey): Promise<LiveInfo | undefined> {
  const found = await core.find(key);
  if (found === undefined) return undefined;
  const { record } = found;
  const state = stateAt(record, core.now());
  if (state !== "active" && state !== "inactive") return undefined;
  const isHeld = record.lease !== null && (await core.instance.isAlive(record, record.lease));
  return {
    id: record.id,
    tenant: record.tenant,
    phase: isHeld ? "elsewhere" : "sleeping",
    agent: record.agent,
    mailbox: 0,
    restarts: 0,
    requests: 0,
    requestsMs: 0,
    ageMs: 0,
    idleMs: Math.max(0, core.now() - record.lastActivityAt),
    memoryBytes: undefined,
    failure: undefined,
  };
}
