/** Creates and gets sessions, in the store or, while the store is away, in the fallback. */
import type { SessionKey } from "../domain/record/entry.ts";
import { parseId } from "../domain/values/ids.ts";
import { guardNames, guardObject, type OptionNames } from "../domain/values/option-names.ts";
import { SessionError } from "../errors.ts";
import { Handle } from "./handle/handle.ts";
import type { Seen } from "./core/seen.ts";
import type { FallbackRouter } from "./fallback/fallback-router.ts";
import {
  createOn,
  ensureOn,
  newSession,
  parseOnExpired,
  type CreateOptions,
  type EnsureOptions,
} from "./session/opening.ts";
import { lookAt, lookOn, parseTails, type SessionLook, type TailQuery } from "./session/look.ts";
import { Session } from "./session/session.ts";
import type { Loaded } from "../store/store.ts";
import { traceCall, type Operation } from "./tracing/operation.ts";

/** Options of `get`. */
export interface GetOptions {
  readonly seen?: Seen;
}

const getNames: OptionNames<GetOptions> = { seen: true };

/** @throws SessionError as `Sessions.create` */
export async function createSession(router: FallbackRouter, tenant: string, options: CreateOptions): Promise<Session> {
  guardObject(options, "options");
  const { id, ...rest } = options;
  const operation: Operation = { operation: "create", tenant };
  return await traceCall(operation, async () => {
    const session = newSession(router.core, { tenant, id }, rest);
    Object.assign(operation, { session: session.key.id, agent: session.agent });
    const created = await router.open(async (core) => {
      // Only the store knows whether an id of the caller is taken; a generated id is free.
      return core.isFallback && id !== undefined ? undefined : await createOn(core, session);
    });
    if (created !== undefined) return new Session(created);
    throw new SessionError("session_exists", { sessionId: session.key.id, tenant });
  });
}

/** @throws SessionError as `Sessions.ensure` */
export async function ensureSession(
  router: FallbackRouter,
  { tenant, id }: SessionKey,
  options: EnsureOptions,
): Promise<Session> {
  guardObject(options, "options");
  const { onExpired = "revive", ...rest } = options;
  const operation: Operation = { operation: "ensure", tenant };
  return await traceCall(operation, async () => {
    const closed = { onExpired: parseOnExpired(onExpired), onEnded: "fail" } as const;
    const fresh = newSession(router.core, { tenant, id }, rest);
    operation.session = fresh.key.id;
    return new Session(await router.open((core) => ensureOn(core, fresh, closed)));
  });
}

/** @throws SessionError `session_not_found`, `id_invalid` */
export async function getSession(
  router: FallbackRouter,
  { tenant, id }: SessionKey,
  options: GetOptions,
): Promise<Session> {
  guardNames(options, "options", getNames);
  const { seen } = options;
  const operation: Operation = { operation: "get", tenant };
  return await traceCall(operation, async () => {
    router.core.guardOpen();
    const key = { tenant, id: parseId(id, "sessionId") };
    operation.session = key.id;
    const handle = await router.open(async (core) => {
      const found = await core.find(key);
      return found === undefined ? undefined : new Handle(core, found.record, seen);
    });
    if (handle !== undefined) return new Session(handle);
    throw new SessionError("session_not_found", { sessionId: id, tenant });
  });
}

/** A session, and a look at it from the moment at which it was opened. */
export interface SessionWithLook {
  readonly session: Session;
  readonly look: SessionLook;
}

/** @throws SessionError as `Sessions.look` */
export async function lookAtSession(
  router: FallbackRouter,
  { tenant, id }: SessionKey,
  tails: readonly TailQuery[],
): Promise<SessionWithLook> {
  const wanted = parseTails(router.core, tails);
  const operation: Operation = { operation: "look", tenant };
  return await traceCall(operation, async () => {
    router.core.guardOpen();
    const key = { tenant, id: parseId(id, "sessionId") };
    operation.session = key.id;
    let loaded: Loaded | undefined;
    const handle = await router.open(async (core) => {
      loaded = await core.find(key, wanted);
      return loaded && new Handle(core, loaded.record);
    });
    if (handle === undefined || loaded === undefined)
      throw new SessionError("session_not_found", { sessionId: id, tenant });
    const session = new Session(handle);
    // Turns of the outbox were replayed since.
    if (handle.record !== loaded.record) return { session, look: await lookOn(handle, tails) };
    handle.noteTails(wanted, loaded);
    return { session, look: lookAt(handle.core, wanted, loaded) };
  });
}
