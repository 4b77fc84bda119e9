/**
 * Documents of messages whose thread is no more: its time to live has passed, or another part of the program has removed its session.
 * They are deleted a page at a time, whenever Mastra makes a thread.
 */
import { defined } from "../../domain/values/defined.ts";
import type { Documents } from "../../index.ts";
import { documentsPrefix, type Place } from "./stored-message.ts";

/** Documents of one page. */
const pageMax = 100;

export class OrphanedDocuments {
  readonly #documents: Documents;
  /** The last key of the page before. */
  #after: string | undefined;

  constructor(documents: Documents) {
    this.#documents = documents;
  }

  /** Reads the next page, and deletes those documents of it that have no thread. */
  async deleteSome(isThread: (id: string) => Promise<boolean>): Promise<void> {
    const page = defined({ prefix: documentsPrefix, limit: pageMax, after: this.#after });
    const { items, next } = await this.#documents.list(page);
    this.#after = next;
    const threads = new Map<string, boolean>();
    const orphans: { key: string; delete: true; if: number }[] = [];
    for (const { key, value, version } of items) {
      const { thread } = value as unknown as Place;
      if (!threads.has(thread)) threads.set(thread, await isThread(thread));
      if (threads.get(thread) === false) orphans.push({ key, delete: true, if: version });
    }
    if (orphans.length > 0) await this.#documents.write(orphans);
  }
}
