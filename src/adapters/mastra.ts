/**
 * Mastra: the domain `memory` of its storage, whose threads are sessions. The program brings the package `@mastra/core`, which is loaded
 * when a memory is made.
 *
 * @module perdure/mastra
 */
import { parseLifetime } from "../domain/values/duration.ts";
import { invalidArgument } from "../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { Sessions, type Lifetime } from "../index.ts";
import type { MemoryStorage } from "./mastra/package-mastra.ts";

/** Options of a memory. */
export interface MastraMemoryOptions {
  /** The time to live of new threads after their last activity. @default that of the user, or `openSessions` */
  readonly ttl?: Lifetime;
}

const optionNames: OptionNames<MastraMemoryOptions> = { ttl: true };

/**
 * A memory: `new MastraCompositeStore({ id, default, domains: { memory: await perdureMemory(sessions) } })`. A thread is the Perdure session
 * `mastra/THREAD` of the user that its resource is, else the session of another framework with its id. Messages are turns.
 * @throws SessionError `argument_invalid` if the package is not installed, `duration_invalid`
 */
export async function perdureMemory(sessions: Sessions, options: MastraMemoryOptions = {}): Promise<MemoryStorage> {
  if (!(sessions instanceof Sessions)) throw invalidArgument("sessions", sessions, { expected: "sessions" });
  guardNames(options, "options", optionNames);
  const { ttl } = options;
  if (ttl !== undefined) parseLifetime(ttl, "ttl");
  const { MastraMemory } = await import("./mastra/memory.ts");
  const { newMemoryStorage } = await import("./mastra/package-mastra.ts");
  const memory = new MastraMemory(sessions, ttl);
  const storage: unknown = Object.assign(await newMemoryStorage(), {
    supportsPartialThreadUpdate: true,
    supportsObservationalMemory: false,
    dangerouslyClearAll: memory.dangerouslyClearAll.bind(memory),
    getThreadById: memory.getThreadById.bind(memory),
    saveThread: memory.saveThread.bind(memory),
    updateThread: memory.updateThread.bind(memory),
    updateThreadMetadata: memory.updateThreadMetadata.bind(memory),
    updateThreadResourceId: memory.updateThreadResourceId.bind(memory),
    deleteThread: memory.deleteThread.bind(memory),
    listThreads: memory.listThreads.bind(memory),
    listMessages: memory.listMessages.bind(memory),
    listMessagesByResourceId: memory.listMessagesByResourceId.bind(memory),
    listMessagesById: memory.listMessagesById.bind(memory),
    saveMessages: memory.saveMessages.bind(memory),
    updateMessages: memory.updateMessages.bind(memory),
    deleteMessages: memory.deleteMessages.bind(memory),
    copyThread: memory.copyThread.bind(memory),
    getResourceById: memory.getResourceById.bind(memory),
    saveResource: memory.saveResource.bind(memory),
    updateResource: memory.updateResource.bind(memory),
  });
  return storage as MemoryStorage;
}
