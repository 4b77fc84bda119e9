import { parseDeviceId } from "../domain/values/device.ts";
import type { SessionKey } from "../domain/record/entry.ts";
import { parseId, parseNewId } from "../domain/values/ids.ts";
import { internalScope } from "../domain/values/internal-scope.ts";
import { defined } from "../domain/values/defined.ts";
import { eachItem, pageNames, type Page, type PageQuery } from "../domain/values/pages.ts";
import { hasCode, SessionError } from "../errors.ts";
import type { Core } from "./core/core.ts";
import { internalKey, pointerChange, type Pointer } from "./devices/device-pointer.ts";
import { keepName, knownName, knownNames } from "./devices/device-names.ts";
import { deviceMarks } from "./devices/device-traces.ts";
import {
  answeringSession,
  openRoute,
  ownSession,
  findRoute,
  findRoutes,
  type DeviceOptions,
  type DeviceRoute,
  guardDeviceOptions,
} from "./devices/device-route.ts";
import { deviceNames, isSameHash, keyedHash, keyedHashes, userNames } from "./core/keyed-hash.ts";
import { Handle } from "./handle/handle.ts";
import { retryOnConflict } from "./core/retry-on-conflict.ts";
import type { FallbackRouter } from "./fallback/fallback-router.ts";
import { guardSecret } from "./devices/secret-check.ts";
import type { LinkCode } from "./devices/link-code.ts";
import { freshId, newSession } from "./session/opening.ts";
import { traceCall, type Operation, type OperationName } from "./tracing/operation.ts";
import type { HandOffOptions } from "./operations/handoff.ts";
import { Session } from "./session/session.ts";
import { activeAgentOf, type ActiveAgent } from "./session/session-info.ts";
import { unreadableSession, type UnreadableSession } from "./session/unreadable-session.ts";
import { invalidText, parseArray } from "../domain/values/invalid-argument.ts";
import { guardNames, guardObject, type OptionNames } from "../domain/values/option-names.ts";
import { parseLimit, parseOneOf } from "./options/arguments.ts";

const activeAgentsNames: OptionNames<ActiveAgentsOptions> = { onUnreadable: true };

/** Options of `activeAgents`. */
export interface ActiveAgentsOptions {
  readonly onUnreadable?: (device: UnreadableDevice) => void;
}

/** The session that continues if both the user and the device have one. */
export interface ClaimOptions extends DeviceOptions {
  /**
   * The other session is ended and kept. `both`: that of the user continues, and the other one is another of its conversations.
   * @default none: `claim_undecided` if both have turns
   */
  readonly keep?: "user" | "device" | "both";
}

/** A device that speaks for a user, or shares the session of another one. */
export interface UserDevice {
  /** A name for the device; its own id is not kept. */
  readonly id: string;
  readonly linkedAt: Date;
}

/** A device whose session, or the pointer to it, cannot be read. */
export interface UnreadableDevice extends UnreadableSession {
  /** The id of the device, as the caller gave it. */
  readonly device: string;
}

/**
 * Anonymous clients. Each has a UUID that it keeps secret, or with `deviceIds: "any"` the id of a channel: the id opens the
 * device's session, so the store has only a keyed hash of it. A device that is linked to a user has the session of the user.
 */
export class Devices {
  readonly #core: Core;
  readonly #router: FallbackRouter;
  readonly #tenant: string;

  /** Made by `Sessions`. @internal */
  constructor(router: FallbackRouter, tenant: string) {
    this.#router = router;
    this.#core = router.core;
    this.#tenant = tenant;
  }

  /**
   * The session of a device. It is created if there is none, and reset if it has expired or ended.
   * @throws SessionError `id_invalid` if the id is not one that `deviceIds` of `openSessions` allows, `secret_missing`,
   *   `conversations_exceeded` for a new session of a device without a user, and as `create`
   */
  async open(deviceId: string, options: DeviceOptions = {}): Promise<Session> {
    return await this.#perform("devices.open", () => {
      guardDeviceOptions(options);
      return this.#open(this.#names(deviceId), options);
    });
  }

  /**
   * The session of a device, also an expired one while its turn is open; undefined if `open` would create a new one.
   * Nothing is written.
   */
  async find(deviceId: string): Promise<Session | undefined> {
    return await this.#perform("devices.find", async () => {
      const names = this.#names(deviceId);
      const handle = await this.#router.open(async (core) => {
        const route = await findRoute(core, this.#tenant, await knownName(core, this.#tenant, names));
        const record = ownSession(core, route) ?? answeringSession(route);
        return record === undefined ? undefined : new Handle(core, record);
      }, this.#waiting(names));
      return handle === undefined ? undefined : this.#session(handle);
    });
  }

  /** The device id, a UUID, with a seal, for a cookie that no client can invent or alter. @throws SessionError `id_invalid` */
  seal(deviceId: string): string {
    const device = parseDeviceId(deviceId, "uuid");
    return `${device}.${keyedHash(this.#core, this.#tenant, "cookie", device).toString("base64url")}`;
  }

  /** The device id inside a sealed id, also of a previous secret; null if another secret sealed it, or the text was altered. */
  unseal(sealed: string): string | null {
    if (typeof sealed !== "string") throw invalidText("sealed", sealed, {});
    const [text = "", seal = ""] = sealed.split(".", 2);
    try {
      const device = parseDeviceId(text, "uuid");
      const seals = keyedHashes(this.#core, this.#tenant, "cookie", device).map((hash) => hash.toString("base64url"));
      const isSealed = seals.some((own) => isSameHash(Buffer.from(own), Buffer.from(seal)));
      return isSealed && sealed === `${device}.${seal}` ? device : null;
    } catch (error) {
      if (hasCode(error, "id_invalid")) return null;
      throw error;
    }
  }

  /** A code by which another device shares this one's session. It works once, for ten minutes and five attempts. */
  async linkCode(deviceId: string): Promise<LinkCode> {
    return await this.#perform("devices.linkCode", async () => {
      const { makeLinkCode } = await import("./devices/link-code.ts");
      return await makeLinkCode(this.#core, this.#tenant, await this.#known(deviceId));
    });
  }

  /**
   * Redeem the code of another device: this one then shares its session, or is linked to its user.
   * @throws SessionError `link_code_invalid`, the same for a wrong, used, revoked or expired code
   */
  async link(deviceId: string, code: string, options: DeviceOptions = {}): Promise<Session> {
    return await this.#perform("devices.link", async () => {
      const name = await this.#known(deviceId);
      this.#guardOptions(name, options);
      const { redeemLinkCode } = await import("./devices/link-code.ts");
      await redeemLinkCode(this.#core, this.#tenant, name, code);
      return await this.#open(this.#names(deviceId), options);
    });
  }

  /**
   * End the sharing. A device that is linked to another one, or to a user, gets a new session. If other devices share the
   * session of this one, this device keeps it, and each of the others gets a new session. False if nothing was shared.
   */
  async unlink(deviceId: string): Promise<boolean> {
    return await this.#perform("devices.unlink", async () => {
      const name = await this.#known(deviceId);
      if (await this.#unlink(name, (pointer) => pointer.kind !== "own")) return true;
      let ended = false;
      for await (const { id } of eachItem((after) => this.#sharing(name, after)))
        ended = (await this.#endSharing(name, id)) || ended;
      return ended;
    });
  }

  /**
   * One page of the other devices that share the session of this one by a link code. It is empty if this device shares the
   * session of another one, or is linked to a user, whose devices `list` returns.
   */
  async listSharing(deviceId: string, page: PageQuery = {}): Promise<Page<UserDevice>> {
    return await this.#perform("devices.listSharing", async () => this.#sharing(await this.#known(deviceId), page));
  }

  /** All devices of `listSharing`. */
  eachSharing(deviceId: string): AsyncGenerator<UserDevice, void, undefined> {
    return eachItem((after) => this.listSharing(deviceId, after));
  }

  /** End the sharing with one device, by the name that `listSharing` gives it; false where it does not share the session. */
  async endSharing(deviceId: string, id: string): Promise<boolean> {
    return await this.#perform("devices.endSharing", async () =>
      this.#endSharing(await this.#known(deviceId), parseId(id, "device")),
    );
  }

  async #sharing(name: string, page: PageQuery): Promise<Page<UserDevice>> {
    guardNames(page, "page", pageNames);
    const session = await this.#ownSessionId(name);
    return session === undefined ? { items: [] } : await this.#page({ agent: session }, page);
  }

  async #endSharing(name: string, id: string): Promise<boolean> {
    const session = await this.#ownSessionId(name);
    if (session === undefined) return false;
    return await this.#unlink(id, (pointer) => pointer.kind === "linked" && pointer.session === session);
  }

  /** The id of the device's own session; undefined if the device shares another one, or is linked to a user. */
  async #ownSessionId(name: string): Promise<string | undefined> {
    const { pointer, session } = await findRoute(this.#core, this.#tenant, name);
    return pointer === undefined || pointer.kind === "own" ? session : undefined;
  }

  /** Unlink one of a user's devices by its name in `list`; false if the device is not linked to the user. */
  async signOut(user: string, id: string): Promise<boolean> {
    return await this.#perform("devices.signOut", async () => {
      parseId(user, "user");
      const isTheirs = (pointer: Pointer): boolean => pointer.kind === "user" && pointer.user === user;
      return await this.#unlink(parseId(id, "device"), isTheirs);
    });
  }

  /** One page of the devices that are linked to a user. */
  async list(user: string, page: PageQuery = {}): Promise<Page<UserDevice>> {
    return await this.#perform("devices.list", async () => {
      this.#core.guardOpen();
      guardNames(page, "page", pageNames);
      return await this.#page({ user: parseId(user, "user") }, page);
    });
  }

  /** All devices that are linked to a user. */
  each(user: string): AsyncGenerator<UserDevice, void, undefined> {
    return eachItem((after) => this.list(user, after));
  }

  async #page(
    linkedTo: { readonly agent: string } | { readonly user: string },
    { limit = 100, after }: PageQuery,
  ): Promise<Page<UserDevice>> {
    const pageSize = parseLimit(limit, this.#core.options.limits.pageMax);
    const { now } = await this.#core.store.instances([]);
    const { records, next } = await this.#core.store.find({
      order: "recent",
      tenant: internalScope(this.#tenant, "devices"),
      states: ["active"],
      now,
      limit: pageSize,
      ...linkedTo,
      ...defined({ after }),
    });
    return defined({ items: records.map(({ id, createdAt }) => ({ id, linkedAt: new Date(createdAt) })), next });
  }

  /**
   * Link the device to this user, as after a login. All live sessions that the device began as a guest become the user's, in one
   * commit with their events. A session that it shares by a link code stays with the device that owns it.
   * @throws SessionError `claim_undecided` where both have a session with turns and `keep` does not name the one that continues;
   *   `busy` or `turn_open` while the one that is to end is answering
   */
  async claim(deviceId: string, user: string, claim: ClaimOptions = {}): Promise<Session> {
    return await this.#perform("devices.claim", async () => {
      guardObject(claim, "options");
      const { keep, ...options } = claim;
      const core = this.#core;
      const names = this.#names(deviceId);
      parseId(user, "user");
      if (keep !== undefined) parseOneOf(keep, "keep", ["user", "device", "both"]);
      const known = await knownNames(core, this.#tenant, [names, userNames(core, this.#tenant, user)]);
      const [name = ""] = known;
      this.#guardOptions(name, options);
      const { claimChanges } = await import("./devices/claim.ts");
      await retryOnConflict({ sessionId: name, tenant: this.#tenant }, async () => {
        const [device, owner] = await findRoutes(core, this.#tenant, known);
        if (device === undefined || owner === undefined) throw new Error("each name has a route");
        const isTheirs = device.pointer?.kind === "user" && device.pointer.user === user;
        if (isTheirs) return true;
        const changes = await claimChanges(core, this.#tenant, { device, owner, user, keep });
        const marks = await deviceMarks(core, this.#tenant, device, { user, beside: changes });
        return (await core.commit([...changes, ...marks])).status === "ok" ? true : undefined;
      });
      return await this.#open(names, options);
    });
  }

  /**
   * The active agents of the devices' sessions, in order, in at most three round trips; null: none. A device whose
   * session cannot be read has null, and `onUnreadable` names it; the devices are then read in smaller groups.
   */
  async activeAgents(
    deviceIds: readonly string[],
    options: ActiveAgentsOptions = {},
  ): Promise<readonly (ActiveAgent | null)[]> {
    return await this.#perform("devices.activeAgents", async () => {
      guardNames(options, "options", activeAgentsNames);
      const { onUnreadable } = options;
      const routes = await this.#findRoutes(await this.#knownEach(deviceIds));
      return routes.map((route, index) => {
        if (route instanceof SessionError) {
          onUnreadable?.({ device: deviceIds[index] ?? "", ...unreadableSession(route) });
          return null;
        }
        const session = ownSession(this.#core, route);
        return session === undefined ? null : activeAgentOf(session, this.#core.now());
      });
    });
  }

  /**
   * Hand off the sessions of many devices to an agent; missing sessions are created. It throws the first error after all have
   * been tried, and may be repeated.
   */
  async handOff(
    deviceIds: readonly string[],
    agent: string,
    options: HandOffOptions = {},
  ): Promise<readonly ActiveAgent[]> {
    return await this.#perform("devices.handOff", () => {
      this.#core.agent(parseNewId(agent, "agent"));
      return this.#each(deviceIds, async (route) => await (await this.#openOn(route)).handOff(agent, options));
    });
  }

  /** End the handoffs of many devices' sessions; false for those without one. */
  async endHandoffs(deviceIds: readonly string[]): Promise<readonly boolean[]> {
    return await this.#perform("devices.endHandoffs", async () => {
      return await this.#each(deviceIds, async (route) => {
        const record = ownSession(this.#core, route);
        return record === undefined ? false : await new Session(new Handle(this.#core, record)).endHandoff();
      });
    });
  }

  /** All at once, so that their commits share batches. A session that cannot be read fails once all others have been tried. */
  async #each<T>(deviceIds: readonly string[], work: (route: DeviceRoute) => Promise<T>): Promise<readonly T[]> {
    const routes = await this.#findRoutes(await this.#knownEach(deviceIds));
    const results = await Promise.allSettled(
      routes.map(async (route) => {
        if (route instanceof SessionError) throw route;
        return await work(route);
      }),
    );
    return results.map((result) => {
      if (result.status === "rejected") throw result.reason;
      return result.value;
    });
  }

  /** The routes of all devices, in order, in few round trips. A route that cannot be read is its error, and fails no other. */
  async #findRoutes(names: readonly string[]): Promise<readonly (DeviceRoute | SessionError<"session_unreadable">)[]> {
    try {
      return await findRoutes(this.#core, this.#tenant, names);
    } catch (error) {
      if (!hasCode(error, "session_unreadable")) throw error;
      if (names.length === 1) return [error];
      const half = Math.ceil(names.length / 2);
      const halves = [names.slice(0, half), names.slice(half)];
      return (await Promise.all(halves.map((some) => this.#findRoutes(some)))).flat();
    }
  }

  async #unlink(name: string, isLinked: (pointer: Pointer) => boolean): Promise<boolean> {
    const core = this.#core;
    const key = internalKey(this.#tenant, name);
    return await retryOnConflict({ sessionId: name, tenant: this.#tenant }, async () => {
      const route = await findRoute(core, this.#tenant, name);
      if (route.pointer === undefined || !isLinked(route.pointer)) return false;
      // The device's first session may belong to another user by now.
      const own: Pointer = { kind: "own", session: `${name}_${freshId(core)}` };
      const marks = await deviceMarks(core, this.#tenant, route);
      const outcome = await core.commit([pointerChange(core, key, route.found, own), ...marks]);
      return outcome.status === "ok" ? true : undefined;
    });
  }

  /** Publish the call to the tracing channel; it names no device, and the session only once it is found. */
  #perform<T>(name: OperationName, work: () => Promise<T>): Promise<T> {
    const operation: Operation = { operation: name, tenant: this.#tenant };
    return traceCall(operation, async () => {
      await guardSecret(this.#core);
      const result = await work();
      if (result instanceof Session) operation.session = result.id;
      return result;
    });
  }

  async #open(names: readonly string[], options: DeviceOptions): Promise<Session> {
    const tenant = this.#tenant;
    const open = async (core: Core) => {
      const name = await knownName(core, tenant, names);
      const route = await findRoute(core, tenant, name);
      const handle = await openRoute(core, tenant, route, options);
      await keepName(core, tenant, names, name);
      if (route.user !== null) await keepName(core, tenant, userNames(core, tenant, route.user), route.last.name);
      return handle;
    };
    return this.#session(await this.#router.open(open, this.#waiting(names)));
  }

  /** Check the options of a fresh session before anything is written. @throws SessionError as `create` */
  #guardOptions(name: string, options: DeviceOptions): void {
    guardDeviceOptions(options);
    newSession(this.#core, { tenant: this.#tenant, id: name }, options);
  }

  /** The session as a device has it: its next message stops the running answer, unless the options name another policy. */
  #session(handle: Handle): Session {
    return new Session(handle, { busy: this.#core.options.busyOfDevices });
  }

  /** The key of the session in the fallback that buffers the turns of this device. */
  #waiting([current = ""]: readonly string[]): SessionKey {
    return { tenant: this.#tenant, id: current };
  }

  async #openOn(route: DeviceRoute): Promise<Session> {
    return new Session(await openRoute(this.#core, this.#tenant, route, {}));
  }

  /** The names that the device may have in the store. */
  #names(deviceId: string): readonly string[] {
    const device = parseDeviceId(deviceId, this.#core.options.deviceIds);
    this.#core.guardOpen();
    return deviceNames(this.#core, this.#tenant, device);
  }

  /** The name of the device in the store. */
  async #known(deviceId: string): Promise<string> {
    return await knownName(this.#core, this.#tenant, this.#names(deviceId));
  }

  async #knownEach(deviceIds: readonly string[]): Promise<readonly string[]> {
    const { pageMax } = this.#core.options.limits;
    parseArray(deviceIds, "deviceIds");
    if (deviceIds.length > pageMax) {
      const { length } = deviceIds;
      throw new SessionError("argument_invalid", { name: "deviceIds", length, expected: "list", max: pageMax });
    }
    const candidates = deviceIds.map((deviceId) => this.#names(deviceId));
    return await knownNames(this.#core, this.#tenant, candidates);
  }
}
