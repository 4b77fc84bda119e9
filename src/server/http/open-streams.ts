import { guardNames } from "../../domain/values/option-names.ts";
import { SessionError } from "../../errors.ts";
import type { Session } from "../../index.ts";

/** Limits of concurrent server-sent event streams, per server instance. */
export interface StreamLimits {
  /**
   * Per device.
   * @default 20
   */
  readonly device?: number;
  /**
   * Per key.
   * @default 5000
   */
  readonly key?: number;
  /**
   * Per session, over all devices and keys.
   * @default 2000
   */
  readonly session?: number;
}

/** Scopes by which streams are counted. */
export type StreamScope = keyof StreamLimits;

const defaults = { device: 20, key: 5000, session: 2000 } as const satisfies Required<StreamLimits>;
/** Interval at which a followed answer is recovered, as its writer may be dead. */
const recoverMs = 1000;

/** The open streams of a server: counts them, and recovers the answers that they follow, once for all of them. */
export class OpenStreams {
  readonly #limits: Required<StreamLimits>;
  readonly #open = new Map<string, number>();
  readonly #recoveries = new Map<string, { streams: number; readonly timer: NodeJS.Timeout }>();

  /** @throws SessionError `argument_invalid` for a limit that does not exist */
  constructor(limits: StreamLimits) {
    guardNames(limits, "streams", defaults);
    this.#limits = { ...defaults, ...limits };
  }

  /** Scopes with an open stream. */
  get size(): number {
    return this.#open.size + this.#recoveries.size;
  }

  /**
   * Counts a stream until the returned function is called.
   * @throws SessionError `streams_full`
   */
  open(scopes: { readonly [Scope in StreamScope]?: string | undefined }): () => void {
    const named = Object.entries(scopes).filter((entry): entry is [StreamScope, string] => entry[1] !== undefined);
    for (const [scope, name] of named) {
      const open = this.#open.get(`${scope} ${name}`) ?? 0;
      const openMax = this.#limits[scope];
      if (open >= openMax) throw new SessionError("streams_full", { scope, open, openMax });
    }
    for (const [scope, name] of named) this.#count(`${scope} ${name}`, 1);
    let isOpen = true;
    return () => {
      if (isOpen) for (const [scope, name] of named) this.#count(`${scope} ${name}`, -1);
      isOpen = false;
    };
  }

  #count(name: string, by: 1 | -1): void {
    const open = (this.#open.get(name) ?? 0) + by;
    if (open > 0) this.#open.set(name, open);
    else this.#open.delete(name);
  }

  /** Recovers a followed session once a second, for all its streams, until the returned function is called. */
  recover(session: Session): () => void {
    const name = `${session.info.tenant} ${session.id}`;
    const recovery = this.#recoveries.get(name) ?? {
      streams: 0,
      timer: setInterval(() => void session.recover().catch(() => undefined), recoverMs).unref(),
    };
    this.#recoveries.set(name, recovery);
    recovery.streams++;
    let follows = true;
    return () => {
      if (!follows) return;
      follows = false;
      if (--recovery.streams > 0) return;
      clearInterval(recovery.timer);
      this.#recoveries.delete(name);
    };
  }
}
