import type { Value } from "../../domain/values/codec.ts";
import type { Answer } from "../../domain/turns/answer.ts";
import type { MessageInput } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import type { ConsultOptions } from "../../sessions/turns/question.ts";
import type { Model } from "../../sessions/options/model.ts";
import type { HostedSession } from "./hosted-session.ts";
import { Session } from "../../sessions/session/session.ts";
import type { Lifetime } from "./lifetime.ts";

/** A session as its runtime sees it. The runtime is the only writer of its turns. */
export class LiveSession extends Session {
  /** State of the runtime; saved when the session is passivated. */
  state: Value | undefined;
  readonly #model: Model | undefined;
  readonly #lifetime: Lifetime;

  /** Made by the host. @internal */
  constructor(hosted: HostedSession, lifetime: Lifetime, model: Model | undefined) {
    super(hosted.handle);
    this.state = hosted.state;
    this.#lifetime = lifetime;
    this.#model = model;
  }

  /** Aborts when this activation ends: running code should stop, and nothing it writes is saved. */
  get signal(): AbortSignal {
    return this.#lifetime.signal;
  }

  /** As `session.consult`, with the runtime's model by default; aborts when this activation ends. */
  override async consult(question: MessageInput, options: ConsultOptions = {}): Promise<Answer> {
    const model = options.model ?? this.#model;
    const signal = options.signal === undefined ? this.signal : AbortSignal.any([options.signal, this.signal]);
    return await super.consult(question, { ...options, ...defined({ model }), signal });
  }
}
