/** Titles are an option that few programs set: the work on them is loaded when the sessions open. */
import type { Change } from "../../domain/record/change.ts";
import type { Core } from "../core/core.ts";
import type { ResolvedTitles } from "../options/titles.ts";
import type { TitleWork } from "./title-work.ts";

export class LateTitles {
  readonly #work: Promise<TitleWork>;

  constructor(core: Core, titles: ResolvedTitles) {
    const early: (readonly Change[])[] = [];
    core.onCommit = (changes) => early.push(changes);
    this.#work = import("./title-work.ts").then(({ TitleWork }) => {
      const work = new TitleWork(core, titles);
      for (const changes of early) core.onCommit?.(changes);
      return work;
    });
    // `stop` throws the error.
    this.#work.catch(() => undefined);
  }

  async stop(): Promise<void> {
    await (await this.#work).stop();
  }
}
