import { SessionError } from "../../errors.ts";
import type { Session } from "../../index.ts";

/** How many streams of server-sent events may be open at once, each of this server: another instance counts for itself. */
export interface StreamLimits {
  /** Of one device. @default 20 */
  readonly device?: number;
  /** Of one key. @default 5000 */
  readonly key?: number;
  /** Of one session, from all devices and keys. @default 2000 */
  readonly session?: number;
}

/** What streams are counted by. */
export type StreamScope = keyof StreamLimits;

const defaults = { device: 20, key: 5000, session: 2000 } as const satisfies Required<StreamLimits>;
/** How often an answer that is followed is looked after: its writer may be gone. */
const recoverMs = 1000;

/** The open streams of a server: they are counted, and the answers that they follow are recovered once for all of them. */
export class OpenStreams {
  readonly #limits: Required<StreamLimits>;
  readonly #open = new Map<string, number>();
  readonly #recoveries = new Map<string, { streams: number; readonly timer: NodeJS.Timeout }>();

  constructor(limits: StreamLimits) {
    this.#limits = { ...defaults, ...limits };
  }

  /** How many scopes have an open stream. */
  get size(): number {
    return this.#open.size + this.#recoveries.size;
  }

  /** Count a stream until the returned function is called. @throws SessionError `streams_full` */
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

  /** Recover a followed session once a second, however many streams follow it, until the returned function is called. */
  recover(session: Session): () => void {
    const name = `${session.info.tenant} ${session.id}`;
    const recovery = this.#recoveries.get(name) ?? {
      streams: 0,
      timer: setInterval(() => void session.recover().catch(() => undefined), recoverMs),
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
