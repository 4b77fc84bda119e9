/** The conversations of a device or of a user. */
import { pinSession, renameSession } from "../domain/record/pin.ts";
import type { Draft, Change } from "../domain/record/change.ts";
import type { Context } from "../domain/record/guards.ts";
import type { SessionRecord } from "../domain/record/record.ts";
import { defined } from "../domain/values/defined.ts";
import { parseDeviceId } from "../domain/values/device.ts";
import { parseId } from "../domain/values/ids.ts";
import { invalidArgument } from "../domain/values/invalid-argument.ts";
import { parseTitle } from "../domain/values/labels.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { eachItem, pageNames, type PageQuery } from "../domain/values/pages.ts";
import { SessionError } from "../errors.ts";
import {
  conversationInfo,
  conversationPage,
  conversationStates,
  findConversation,
  type ConversationInfo,
  type ConversationPage,
} from "./conversations/conversation-list.ts";
import {
  filterOfReach,
  isShared,
  keepReach,
  lastStep,
  reaches,
  reachOf,
  type ConversationOwner,
  type GuestReach,
  type Reach,
} from "./conversations/reach.ts";
import type { Core } from "./core/core.ts";
import { retryOnConflict } from "./core/retry-on-conflict.ts";
import { internalKey, pointerChange, type Pointer } from "./devices/device-pointer.ts";
import { deviceMarks } from "./devices/device-traces.ts";
import { guardGuestSessions } from "./devices/guest-sessions.ts";
import { guardDeviceOptions, type DeviceOptions } from "./devices/device-route.ts";
import { Handle } from "./handle/handle.ts";
import { parseLimit } from "./options/arguments.ts";
import type { SearchPage, SearchQuery } from "./search/search.ts";
import { createOn, freshId, newSession } from "./session/opening.ts";
import { removeOn } from "./session/remove.ts";
import { Session } from "./session/session.ts";
import { traceCall, type Operation, type OperationName } from "./tracing/operation.ts";

/** Options of `search`: those of a search of all sessions that do not choose sessions. */
export type ConversationSearch = Omit<SearchQuery, "text" | "session" | "user" | "state">;

type SessionRule = (draft: Draft, context: Context) => Change | null;

/** Changes of a conversation. @internal */
export interface ConversationChange {
  readonly title?: string | null | undefined;
  readonly isPinned?: boolean | undefined;
  readonly isCurrent?: true | undefined;
}

/** Attempts to create a conversation beside other ones of the device. */
const createAttemptsMax = 100;

const ownerNames: OptionNames<{ readonly device?: string; readonly user?: string }> = { device: true, user: true };
const searchNames: OptionNames<ConversationSearch> = {
  agent: true,
  labels: true,
  since: true,
  before: true,
  limit: true,
  after: true,
  waitMs: true,
  onProgress: true,
  signal: true,
};

/**
 * The live sessions of a user, or of a device: those of its user, or those that it began as a guest. Another one's session is
 * `session_not_found`, as a missing one. Made by `sessions.conversations`.
 */
export class Conversations {
  readonly #core: Core;
  readonly #tenant: string;
  readonly #owner: ConversationOwner;
  #guard: (user: string | null) => void = () => undefined;

  /** Made by `Sessions`. @internal */
  constructor(core: Core, tenant: string, owner: ConversationOwner) {
    guardNames(owner, "owner", ownerNames);
    const { device, user } = owner;
    if ((device === undefined) === (user === undefined))
      throw invalidArgument("owner", owner, { expected: "one_of", known: ["device", "user"] });
    this.#core = core;
    this.#tenant = tenant;
    this.#owner =
      user === undefined ? { device: parseDeviceId(device, core.options.deviceIds) } : { user: parseId(user, "user") };
  }

  /** Each call throws what `guard` throws for the user of the device; null: a guest. @internal */
  guarded(guard: (user: string | null) => void): this {
    this.#guard = guard;
    return this;
  }

  /**
   * One page of the conversations: pinned ones first, then the others, each by the last activity, the newest first. One that
   * becomes active meanwhile moves to the front.
   * @throws SessionError `argument_invalid`, `secret_missing`
   */
  async list(page: PageQuery = {}): Promise<ConversationPage> {
    return await this.#perform("list", async (reach) => {
      guardNames(page, "page", pageNames);
      const { limit = 100, after } = page;
      const size = parseLimit(limit, this.#core.options.limits.pageMax);
      return await conversationPage(this.#core, this.#tenant, reach, { limit: size, after });
    });
  }

  /** All conversations, in the order of `list`, one page in memory at a time. */
  each(): AsyncGenerator<ConversationInfo, void, undefined> {
    return eachItem((after) => this.list(after));
  }

  /**
   * Create a conversation. The current one of the device stays: see `select`.
   * @throws SessionError `conversations_exceeded` for a device without a user, and as `create` of `Sessions`
   */
  async create(options: DeviceOptions = {}): Promise<Session> {
    return await this.#create(options, false);
  }

  /** As `create`, and make it the current one, in one commit. @internal */
  async createCurrent(options: DeviceOptions = {}): Promise<Session> {
    return await this.#create(options, true);
  }

  async #create(options: DeviceOptions, isCurrent: boolean): Promise<Session> {
    return await this.#perform("create", async () => {
      const [core, tenant] = [this.#core, this.#tenant];
      guardDeviceOptions(options);
      await core.learnTime();
      return await retryOnConflict(
        { sessionId: "a new conversation", tenant, attemptsMax: createAttemptsMax },
        async () => {
          // A claim meanwhile changes the pointer, and with it the owner.
          const reach = await this.#reach();
          const id = reach.user === null ? `${reach.name}_${freshId(core)}` : undefined;
          const fresh = newSession(core, { tenant, id }, { ...options, ...defined({ user: reach.user ?? undefined }) });
          const guest = reach.user === null ? await this.#guest(reach) : [];
          const beside = isCurrent ? ((await this.#pointing(reach, fresh.key.id, true)) ?? guest) : guest;
          const handle = await createOn(core, fresh, beside);
          if (handle === undefined) return undefined;
          await keepReach(core, tenant, this.#owner, reach);
          return this.#session(handle);
        },
      );
    });
  }

  /** Open one of the conversations. @throws SessionError `session_not_found`, the same for another one's and a missing one */
  async open(id: string): Promise<Session> {
    return await this.#perform("open", async (reach) => {
      const record = await this.#found(reach, id);
      await keepReach(this.#core, this.#tenant, this.#owner, reach);
      return this.#session(new Handle(this.#core, record));
    });
  }

  /** As `open`, without one that the device shares by a link code: only its owner shares it with others. @internal */
  async openOwn(id: string): Promise<Session> {
    return await this.#perform("open", async (reach) => {
      const record = await this.#found(reach, id);
      if (isShared(reach, record)) throw this.#missing(record.id);
      return this.#session(new Handle(this.#core, record));
    });
  }

  /** One of the conversations as `list` has it. @throws SessionError `session_not_found` */
  async get(id: string): Promise<ConversationInfo> {
    return await this.#perform("get", async (reach) => conversationInfo(await this.#found(reach, id)));
  }

  /** Set the title, at most 256 characters; null removes it. It counts as no activity. @throws SessionError `session_not_found` */
  async rename(id: string, title: string | null): Promise<void> {
    await this.#perform("rename", async (reach) => {
      const parsed = parseTitle(title);
      await this.#change(reach, id, (draft, context) => renameSession(draft, parsed, context));
    });
  }

  /**
   * Set the title and the pin, and make it the current conversation, all in one commit.
   * @throws SessionError as `rename`, `pin` and `select`; then nothing was changed @internal
   */
  async patch(id: string, { title, isPinned, isCurrent }: ConversationChange): Promise<void> {
    const name =
      title !== undefined ? "rename" : isPinned === undefined ? "select" : isPinned ? ("pin" as const) : "unpin";
    await this.#perform(name, async (reach) => {
      const parsed = title === undefined ? undefined : parseTitle(title);
      const rule: SessionRule = (draft, context) => {
        const renamed = parsed === undefined ? null : renameSession(draft, parsed, context);
        return (isPinned === undefined ? null : pinSession(draft, isPinned, context)) ?? renamed;
      };
      const isChanged = await this.#change(reach, id, rule, isCurrent === true);
      if (isCurrent === true && !isChanged) await this.#select(reach, id);
    });
  }

  /** List it before the others. @throws SessionError `session_not_found`, `argument_invalid` for a session with 16 other labels */
  async pin(id: string): Promise<void> {
    await this.#perform("pin", (reach) =>
      this.#change(reach, id, (draft, context) => pinSession(draft, true, context)),
    );
  }

  /** List it among the others. @throws SessionError `session_not_found` */
  async unpin(id: string): Promise<void> {
    await this.#perform("unpin", (reach) =>
      this.#change(reach, id, (draft, context) => pinSession(draft, false, context)),
    );
  }

  /**
   * Remove the conversation with all its data and its shares. One that the device shares by a link code stays with its owner, and
   * the device stops sharing it.
   * @throws SessionError `session_not_found`, `legal_hold`
   */
  async remove(id: string): Promise<void> {
    await this.#perform("remove", async (reach) => {
      const record = await this.#found(reach, id);
      if (isShared(reach, record)) await this.#point(record.id, false);
      else {
        await removeOn(new Handle(this.#core, record), ({ user }) => {
          // It has got another owner meanwhile.
          if (user !== reach.user) throw this.#missing(record.id);
        });
      }
    });
  }

  /**
   * Make it the current conversation, which `devices.open` continues: that of the device, or of all devices of the user.
   * @throws SessionError `session_not_found`, `secret_missing`
   */
  async select(id: string): Promise<void> {
    await this.#perform("select", (reach) => this.#select(reach, id));
  }

  async #select(reach: Reach, id: string): Promise<void> {
    const record = await this.#found(reach, id);
    if (!isShared(reach, record)) await this.#point(record.id, true);
  }

  /**
   * One page of the messages and titles that have all words of a text, the newest first, as `search` of `Sessions`. A conversation
   * that a device shares by a link code is not searched.
   * @throws SessionError as `search` of `Sessions`
   */
  async search(text: string, options: ConversationSearch = {}): Promise<SearchPage> {
    return await this.#perform("search", async (reach) => {
      guardNames(options, "options", searchNames);
      const { searchOn } = await import("./search/search.ts");
      const query = { ...options, text, state: conversationStates };
      return await searchOn(this.#core, this.#tenant, query, filterOfReach(reach));
    });
  }

  async #reach(): Promise<Reach> {
    const reach = await reachOf(this.#core, this.#tenant, this.#owner);
    this.#guard(reach.user);
    return reach;
  }

  /** @throws SessionError `session_not_found` */
  async #found(reach: Reach, id: string): Promise<SessionRecord> {
    const sessionId = parseId(id, "sessionId");
    const record = await findConversation(this.#core, this.#tenant, reach, sessionId);
    if (record === undefined) throw this.#missing(sessionId);
    return record;
  }

  #missing(sessionId: string): SessionError {
    return new SessionError("session_not_found", { sessionId, tenant: this.#tenant });
  }

  /** The pointer of a guest, written again beside a new session: a claim finds the session, and another secret the device. */
  async #guest({ name, route: { found, pointer } }: GuestReach): Promise<readonly Change[]> {
    const [core, tenant] = [this.#core, this.#tenant];
    await guardGuestSessions(core, tenant, name);
    const own: Pointer = pointer ?? { kind: "own", session: name };
    const marks = pointer === undefined ? await deviceMarks(core, tenant, { name, found }) : [];
    return [pointerChange(core, internalKey(tenant, name), found, own), ...marks];
  }

  /**
   * Apply a rule, unless the session has got another owner meanwhile. `selects`: the commit makes it the current conversation. False
   * where the rule changes nothing: then there was no commit.
   */
  async #change(reach: Reach, id: string, rule: SessionRule, selects = false): Promise<boolean> {
    const handle = new Handle(this.#core, await this.#found(reach, id));
    const beside = async (): Promise<readonly Change[]> => {
      const now = await this.#reach();
      return isShared(now, handle.record) ? [] : ((await this.#pointing(now, handle.record.id, true)) ?? []);
    };
    const written = await handle.write(
      (draft, context) => {
        const { record } = draft;
        if (reaches(reach, record)) return rule(draft, context);
        throw this.#missing(record.id);
      },
      selects ? { beside } : {},
    );
    return written.status === "ok";
  }

  /** Point the device, or its user, to a session: this one, or a new one where it shares this one. */
  async #point(id: string, isTo: boolean): Promise<void> {
    const [core, tenant] = [this.#core, this.#tenant];
    await retryOnConflict({ sessionId: id, tenant }, async () => {
      const changes = await this.#pointing(await this.#reach(), id, isTo);
      if (changes === undefined) return true;
      return (await core.commit(changes)).status === "ok" ? true : undefined;
    });
  }

  /** The changes that point to a session, or away from it; undefined where none is needed. */
  async #pointing(reach: Reach, id: string, isTo: boolean): Promise<readonly Change[] | undefined> {
    const [core, tenant] = [this.#core, this.#tenant];
    const { name, found, pointer } = await lastStep(core, tenant, reach);
    const isThere = (pointer === undefined ? name : pointer.kind === "user" ? undefined : pointer.session) === id;
    if (isThere === isTo) return undefined;
    const own: Pointer = { kind: "own", session: isTo ? id : `${name}_${freshId(core)}` };
    return [
      pointerChange(core, internalKey(tenant, name), found, own),
      ...(await deviceMarks(core, tenant, { name, found })),
    ];
  }

  /** As a device has it: the next message stops the running answer, unless the options name another policy. */
  #session(handle: Handle): Session {
    const { busy, busyOfDevices } = this.#core.options;
    return new Session(handle, { busy: this.#owner.device === undefined ? busy : busyOfDevices });
  }

  /** Publish the call to the tracing channel; it names no device, and the session only once it is found. */
  async #perform<T>(name: OwnName, work: (reach: Reach) => Promise<T>): Promise<T> {
    const operation: Operation = { operation: `conversations.${name}`, tenant: this.#tenant };
    return await traceCall(operation, async () => {
      const core = this.#core;
      core.guardOpen();
      const result = await work(await this.#reach());
      if (result instanceof Session) operation.session = result.id;
      return result;
    });
  }
}

type OwnName = Extract<OperationName, `conversations.${string}`> extends `conversations.${infer Name}` ? Name : never;
