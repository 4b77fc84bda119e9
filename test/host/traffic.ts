import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Host } from "../../src/host/index.ts";

/** A message to a session that answers with the number of the turn it makes of it. */
export interface Sent {
  readonly key: string;
  readonly ms: number;
  /** The number of the turn, or an error. */
  readonly answer: unknown;
}

/** The messages and the answers of one session. */
export type Talk = Sent[];

/** Sends every session one message after another, until it is stopped. */
export class Traffic implements AsyncDisposable {
  #isOver = false;
  /** How many answers each session has given. */
  readonly #answers = new Map<string, number>();
  #answered = Promise.withResolvers<void>();
  readonly #talks: Promise<(readonly [id: string, talk: Talk])[]>;

  constructor(host: Host, ids: readonly string[], everyMs: number) {
    this.#talks = Promise.all(
      ids.map(async (id, index) => {
        await sleep((everyMs * index) / ids.length);
        return [id, await this.#talk(host, id, everyMs)] as const;
      }),
    );
  }

  async #talk(host: Host, id: string, everyMs: number): Promise<Talk> {
    const talk: Talk = [];
    while (!this.#isOver) {
      const key = randomUUID();
      const began = performance.now();
      const answer = await host.send(id, { key }).catch((error: unknown) => error);
      const ms = performance.now() - began;
      talk.push({ key, ms, answer });
      this.#answers.set(id, talk.length);
      this.#answered.resolve();
      await sleep(Math.max(1, everyMs - ms));
    }
    return talk;
  }

  /** How many answers these sessions have given together. */
  answersOf(ids: readonly string[]): number {
    return ids.reduce((sum, id) => sum + (this.#answers.get(id) ?? 0), 0);
  }

  /** Resolves once each of these sessions has answered so many times from here on. */
  async more(ids: readonly string[], count: number): Promise<void> {
    const wanted = ids.map((id) => [id, (this.#answers.get(id) ?? 0) + count] as const);
    while (wanted.some(([id, sum]) => (this.#answers.get(id) ?? 0) < sum)) {
      this.#answered = Promise.withResolvers();
      await this.#answered.promise;
    }
  }

  async stop(): Promise<ReadonlyMap<string, Talk>> {
    this.#isOver = true;
    return new Map(await this.#talks);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Milliseconds that all but one answer of a hundred kept to. */
export function p99Of(talks: Iterable<Talk>): number {
  const all = [...talks].flatMap((talk) => talk.map(({ ms }) => ms)).toSorted((a, b) => a - b);
  return all[Math.floor(all.length * 0.99)] ?? Number.NaN;
}
