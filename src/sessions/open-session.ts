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
import { Session } from "./session/session.ts";
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
