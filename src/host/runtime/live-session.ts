import type { Answer } from "../../domain/turns/answer.ts";
import type { MessageInput } from "../../domain/turns/turn.ts";
import type { ConsultOptions } from "../../sessions/turns/consult.ts";
import type { Model } from "../../sessions/options/model.ts";
import type { HostedSession } from "./hosted-session.ts";
import { Session } from "../../sessions/session/session.ts";
import type { Lifetime } from "./lifetime.ts";
import type { RuntimeState } from "./runtime.ts";

/** A session in the hands of its runtime, which is the only writer of its turns. */
export class LiveSession extends Session {
  /** What the runtime wants to know the next time; kept when the session is put to sleep. */
  state: RuntimeState;
  readonly #model: Model | undefined;
  readonly #lifetime: Lifetime;

  /** Made by the host. */
  constructor(residence: HostedSession, lifetime: Lifetime, model: Model | undefined) {
    super(residence.handle);
    this.state = residence.state;
    this.#lifetime = lifetime;
    this.#model = model;
  }

  /** Aborts when this life of the session is over: what still runs is to stop, and nothing it writes is kept. */
  get signal(): AbortSignal {
    return this.#lifetime.signal;
  }

  /** As that of any session, with the runtime's model where none is named; it stops with this life of the session. */
  override async consult(question: MessageInput, options: ConsultOptions = {}): Promise<Answer> {
    const model = options.model ?? this.#model;
    const signal = options.signal === undefined ? this.signal : AbortSignal.any([options.signal, this.signal]);
    return await super.consult(question, { ...options, ...(model === undefined ? {} : { model }), signal });
  }
}
