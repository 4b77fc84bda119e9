/** The session of a request: that of its user, or else of its device. The store is asked when it is first opened. */
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { problemOf, problemType } from "../../protocol/problem.ts";
import { correlated, Sessions, type DeviceOptions, type Session, type SessionError } from "../../index.ts";
import { deviceAmong } from "./device-cookie.ts";

/** The user of a request; null or undefined for a guest. */
export type UserOf<Request> = (request: Request) => string | null | undefined | Promise<string | null | undefined>;

/** Options of a middleware. */
export interface PerdureOptions<Request> {
  /**
   * The user of a request, as the application has checked it. A request with a user gets the session of the user, on every device;
   * a guest never gets it, also on a device on which the user was logged in. @default all requests are those of guests
   */
  readonly user?: UserOf<Request>;
  /**
   * The session that continues where a guest logs in, and both the guest and the user have one with turns. The other one is ended,
   * and kept as the user's. @default "user"
   */
  readonly keep?: "user" | "device";
  /** Send the cookie over HTTPS only. False: for development without HTTPS. @default true */
  readonly secureCookies?: boolean;
}

const optionNames: OptionNames<PerdureOptions<never>> = { user: true, keep: true, secureCookies: true };

/** Options with their defaults. */
export interface Settings<Request> {
  readonly sessions: Sessions;
  readonly user: UserOf<Request> | undefined;
  readonly keep: "user" | "device";
  readonly isSecure: boolean;
}

/**
 * Checks the options before a request needs them.
 * @throws SessionError `argument_invalid`, `secret_missing`
 */
export function settingsOf<Request>(sessions: Sessions, options: PerdureOptions<Request>): Settings<Request> {
  if (!(sessions instanceof Sessions)) throw invalidArgument("sessions", sessions, { expected: "sessions" });
  guardNames(options, "options", optionNames);
  const { user, keep = "user", secureCookies = true } = options;
  if (user !== undefined && typeof user !== "function") throw invalidArgument("user", user, { expected: "function" });
  const known = ["user", "device"];
  if (!known.includes(keep)) throw invalidArgument("keep", keep, { expected: "one_of", known });
  if (typeof secureCookies !== "boolean")
    throw invalidArgument("secureCookies", secureCookies, { expected: "boolean" });
  // Without a secret the first request would fail.
  sessions.devices.seal(crypto.randomUUID());
  return { sessions, user, keep, isSecure: secureCookies };
}

/** The session of one request. Nothing is read or written until it is opened. */
export class RequestSession {
  /** The id of the request, in the header `X-Request-Id` of its response and in the events that it causes. */
  readonly requestId: string;
  readonly #sessions: Sessions;
  readonly #keep: "user" | "device";
  readonly #userOf: (() => ReturnType<UserOf<never>>) | undefined;
  readonly #giveCookie: (sealed: string) => void;
  #device: string | null;
  /** The cookie has a seal of an earlier secret. */
  #isOutdated: boolean;
  #opening: Promise<Session> | undefined;

  /** Made by the middlewares. @internal */
  constructor(
    { sessions, keep }: Pick<Settings<never>, "sessions" | "keep">,
    request: {
      readonly id: string;
      readonly cookies: readonly string[];
      readonly user: (() => ReturnType<UserOf<never>>) | undefined;
      readonly giveCookie: (sealed: string) => void;
    },
  ) {
    this.requestId = request.id;
    this.#sessions = sessions;
    this.#keep = keep;
    this.#userOf = request.user;
    this.#giveCookie = request.giveCookie;
    const shown = deviceAmong(sessions.devices, request.cookies);
    this.#device = shown?.device ?? null;
    this.#isOutdated = shown !== null && shown.value !== sessions.devices.seal(shown.device);
  }

  /** The device of the request, which its cookie shows; null until `open` for a browser without a valid cookie. */
  get device(): string | null {
    return this.#device;
  }

  /**
   * The session, created where there is none; the options shape a new one. All calls of one request give the same object. A
   * browser without a valid cookie gets one, so call it before the response begins.
   * @throws SessionError as `sessions.devices.open` and `sessions.devices.claim`
   */
  async open(options: DeviceOptions = {}): Promise<Session> {
    this.#opening ??= this.#open(this.#deviceOrNew(), options).catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return await this.#opening;
  }

  /** The session, if there is one; for a guest nothing is created, and no cookie given. */
  async find(): Promise<Session | undefined> {
    if (this.#opening !== undefined) return await this.#opening;
    const user = await this.#user();
    if (user !== null) return await this.open();
    const found = this.#device === null ? undefined : await this.#sessions.devices.find(this.#device);
    return found === undefined || this.#isForeign(found) ? undefined : found;
  }

  async #open(device: string, options: DeviceOptions): Promise<Session> {
    const { devices } = this.#sessions;
    const user = await this.#user();
    if (user !== null) return await devices.claim(device, user, { ...options, keep: this.#keep });
    const session = await devices.open(device, options);
    if (!this.#isForeign(session)) return session;
    // The user has logged out.
    await devices.unlink(device);
    return await devices.open(device, options);
  }

  #deviceOrNew(): string {
    const device = this.#device ?? crypto.randomUUID();
    if (this.#device === null || this.#isOutdated) this.#giveCookie(this.#sessions.devices.seal(device));
    this.#device = device;
    this.#isOutdated = false;
    return device;
  }

  async #user(): Promise<string | null> {
    return (await this.#userOf?.()) ?? null;
  }

  /** True for the session of a user where the application knows the users of requests, and this one has none. */
  #isForeign({ info }: Session): boolean {
    return this.#userOf !== undefined && info.user !== null;
  }
}

/** The header with the id of a request. */
export const requestIdHeader = "x-request-id";

/** The id that the caller gave: 1 to 200 visible ASCII characters. Another one is replaced. */
export function requestIdOf(given: unknown): string {
  return typeof given === "string" && /^[!-~]{1,200}$/.test(given) ? given : crypto.randomUUID();
}

/** Runs the rest of a request under its id, which the events that it causes carry. */
export function underId<T>(requestId: string, work: () => T): T {
  return correlated(requestId, work);
}

/** The response to a request that failed with this error, in the format of RFC 9457. It shows no more than a device may read. */
export function problemParts(
  error: SessionError,
  requestId: string,
): { readonly status: number; readonly type: string; readonly body: string } {
  const problem = problemOf(error, { requestId, audience: "device" });
  return { status: problem.status, type: problemType, body: JSON.stringify(problem) };
}
