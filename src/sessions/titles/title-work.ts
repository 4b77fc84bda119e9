/**
 * Titles of sessions that have none, made in the background by the process that committed an answer. States of a session here:
 * - waiting: an answer was committed. Exits: its turn comes; the queue is full, or the process ends: a later answer waits again.
 * - running: the attempt is stored, then the titler is asked. Exits: a title was made; the call fails, is too slow or is stopped.
 * - storing: the title and its usage are stored, at the end of a question that replaces turns. Exits: stored, refused or stopped.
 * Each attempt is stored before its call, so all processes together ask at most twice, also where one is killed.
 */
import { tracingChannel } from "node:diagnostics_channel";
import type { Change } from "../../domain/record/change.ts";
import { keyText, titlesLog, type SessionKey } from "../../domain/record/entry.ts";
import { headOf } from "../../domain/record/change.ts";
import { claimTitle, giveTitle, lacksTitle, mayOwe, owedCall, type GivenTitle } from "../../domain/memory/title.ts";
import { isInternalScope } from "../../domain/values/internal-scope.ts";
import { readableTurns, type Turn } from "../../domain/turns/turn.ts";
import type { Usage } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import { hasCode } from "../../errors.ts";
import type { Traced } from "../../store/calls/store-call.ts";
import { traced } from "../../store/calls/traced.ts";
import type { Core } from "../core/core.ts";
import { Handle } from "../handle/handle.ts";
import { guardTokens, haveSameMemory } from "../memory/summarize.ts";
import type { ResolvedTitles } from "../options/titles.ts";
import { estimatedTitle, makeTitle, turnsToTitle } from "./title-maker.ts";

/** Published on the tracing channel `perdure:title` for each title that is asked for. */
export interface Titling extends Traced {
  readonly tenant: string;
  readonly session: string;
  /** The agent of the session. */
  readonly agent: string;
  /** The title that was made; absent for none. Another one may have been set meanwhile. */
  title?: string;
  /** The model that was asked, as far as the titler names it. */
  model?: string;
  /** The tokens of the call; absent where it failed, or its titler reports none. */
  usage?: Usage;
}

const titlings = tracingChannel<unknown, Titling>("perdure:title");

/** The sessions that wait; a further one is not titled before its next answer. */
const waitingMax = 1000;
/** The calls of titlers at once. */
const runningMax = 4;
/** `stop` waits for the sessions that wait and run at most so long, ms. */
const stopMs = 5000;
/** The first pause and the longest one between the tries to store a title while a question of another process replaces turns, ms. */
const storePauseMs = 1000;
const storePauseMaxMs = 60_000;

/** A session whose attempt is stored, and the turns to make its title of. */
interface Claimed {
  readonly handle: Handle;
  readonly turns: readonly Turn[];
  /** The number of the attempt. */
  readonly attempt: number;
  /** The entry of the attempt has an estimate of its cost. */
  readonly isEstimated: boolean;
}

/** The background work of one process. */
export class TitleWork {
  readonly #core: Core;
  readonly #titles: ResolvedTitles;
  readonly #waiting = new Map<string, SessionKey>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #stop = new AbortController();
  /** The running ones that ask nothing any more, and those of them that wait for the end of a turn. */
  #storing = 0;
  readonly #wakes = new Map<string, () => void>();
  #isOpen = true;

  constructor(core: Core, titles: ResolvedTitles) {
    this.#core = core;
    this.#titles = titles;
    core.onCommit = (changes) => {
      for (const change of changes) {
        if (this.#wakes.size > 0 && (change.record?.openTurn ?? null) === null)
          this.#wakes.get(keyText(change.key))?.();
        if (answersUntitled(change)) this.#meet(change.key);
      }
    };
  }

  /** End the work: what waits and runs has some seconds left. */
  async stop(): Promise<void> {
    this.#isOpen = false;
    const timer = new AbortController();
    const timeout = this.#core.options.clock.sleep(stopMs, timer.signal).catch(() => undefined);
    const idle = async (): Promise<void> => {
      while (this.#running.size > 0) await Promise.race(this.#running.values());
    };
    await Promise.race([idle(), timeout]);
    timer.abort();
    this.#waiting.clear();
    this.#stop.abort(new Error("the sessions were closed"));
    await Promise.all([timeout, idle()]);
  }

  #meet(key: SessionKey): void {
    const text = keyText(key);
    if (!this.#isOpen || this.#running.has(text) || this.#waiting.size >= waitingMax) return;
    this.#waiting.set(text, key);
    this.#runNext();
  }

  #runNext(): void {
    for (const [text, key] of this.#waiting) {
      if (this.#running.size - this.#storing >= runningMax || this.#storing >= waitingMax) return;
      this.#waiting.delete(text);
      const running = this.#run(key).finally(() => {
        this.#running.delete(text);
        this.#runNext();
      });
      this.#running.set(text, running);
    }
  }

  async #run(key: SessionKey): Promise<void> {
    try {
      const claimed = await this.#claim(key);
      if (claimed !== undefined) await this.#title(claimed);
    } catch {
      // The tracing channel has the error of the titler. The session has no title, and a later answer tries again.
    }
  }

  /**
   * Store an attempt; undefined where the session needs none, has no turn that models are shown, its budget has no tokens left, or an
   * earlier attempt may still run.
   */
  async #claim(key: SessionKey): Promise<Claimed | undefined> {
    const core = this.#core;
    const loaded = await core.find(key, [{ log: titlesLog, last: 1 }]);
    if (loaded === undefined || !(lacksTitle(loaded.record) || mayOwe(loaded.record))) return undefined;
    const { record, tails } = loaded;
    const last = tails[0]?.at(-1);
    if (core.now() < (last?.at ?? Number.NEGATIVE_INFINITY) + this.#titles.timeoutMs) return undefined;
    const count = headOf(record, titlesLog);
    const owed = last && owedCall(last);
    if (mayOwe(record)) {
      await new Handle(core, record).write((draft, context) =>
        claimTitle(draft, { count, owed, next: undefined }, context),
      );
      return undefined;
    }
    await guardTokens(core, record);
    const turns = await turnsToTitle(core, record);
    if (turns.length === 0) return undefined;
    const handle = new Handle(core, record);
    const next = estimatedTitle(core, record, { titles: this.#titles, turns });
    // A turn that was left out since the turns were read is not shown: a later answer tries again.
    const { status } = await handle.write((draft, context) =>
      haveSameMemory(draft.record, record) ? claimTitle(draft, { count, owed, next }, context) : null,
    );
    return status === "ok" ? { handle, turns, attempt: count + 1, isEstimated: next !== undefined } : undefined;
  }

  async #title({ handle, turns, attempt, isEstimated }: Claimed): Promise<void> {
    const core = this.#core;
    const { tenant, id: session, agent } = handle.record;
    const titling: Titling = { tenant, session, agent };
    await traced(titlings, titling, async () => {
      const { timeoutMs } = this.#titles;
      const timer = new AbortController();
      const slow = new AbortController();
      const timeout = core.options.clock.sleep(timeoutMs, timer.signal).then(
        () => slow.abort(new Error(`no title after ${timeoutMs} ms`)),
        () => undefined,
      );
      const signal = AbortSignal.any([this.#stop.signal, slow.signal]);
      const startedAt = core.now();
      try {
        const { title, call } = await makeTitle(core, handle.record, { titles: this.#titles, turns, signal });
        Object.assign(titling, defined({ title, model: call.model, usage: call.usage }));
        const durationMs = Math.max(0, core.now() - startedAt);
        await this.#give(handle, { title, call: { ...call, durationMs }, attempt, isEstimated });
      } finally {
        timer.abort();
        await timeout;
      }
    });
  }

  /** While a question replaces turns, the usage could not be counted: the title waits for the end of its turn, and others are made. */
  async #give(handle: Handle, given: GivenTitle): Promise<void> {
    this.#storing++;
    const text = keyText(handle.record);
    try {
      for (let pauseMs = storePauseMs; ; pauseMs = Math.min(2 * pauseMs, storePauseMaxMs)) {
        const wake = new AbortController();
        this.#wakes.set(text, () => wake.abort());
        try {
          await handle.write((draft, context) => giveTitle(draft, given, context));
          return;
        } catch (error) {
          if (!hasCode(error, "turn_open")) throw error;
        }
        this.#runNext();
        const signal = AbortSignal.any([this.#stop.signal, wake.signal]);
        await this.#core.options.clock.sleep(pauseMs, signal).catch(() => this.#stop.signal.throwIfAborted());
      }
    } finally {
      this.#wakes.delete(text);
      this.#storing--;
    }
  }
}

/** True for the commit of an answer to a session without a title; an import or a copy answers nothing. */
function answersUntitled({ record, expected, splices }: Change): boolean {
  if (record === null || expected === null || isInternalScope(record.tenant) || !(lacksTitle(record) || mayOwe(record)))
    return false;
  if (record.turnsVersion !== record.version) return false;
  const entries = splices.find(({ log }) => log === "turns")?.entries ?? [];
  return readableTurns(entries).some(({ status, output }) => status === "done" && output.length > 0);
}
