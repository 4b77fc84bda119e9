import { createHook } from "node:async_hooks";

/** The timers of this process that were started since `countTimers` and neither ended nor cleared, referenced or not. */
export interface TimerCount {
  /** The stack at the start of each timer. */
  running(): readonly string[];
  stop(): void;
}

export function countTimers(): TimerCount {
  const running = new Map<number, string>();
  const hook = createHook({
    init: (id, type) => void (type === "Timeout" && running.set(id, new Error("started here").stack ?? "")),
    destroy: (id) => void running.delete(id),
  }).enable();
  return { running: () => [...running.values()], stop: () => void hook.disable() };
}

/** Resolves after the tasks of the event loop that are due, and those that they start. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}
