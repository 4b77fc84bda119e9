import { AsyncLocalStorage } from "node:async_hooks";
import { syncBuiltinESMExports } from "node:module";
import type { RuntimeFailure } from "../../errors.ts";
import { asError } from "../runtime/runtime.ts";
import type { LifeId } from "./wire.ts";

/** The activation whose code is running, also in its timers and promises. */
const activationContext = new AsyncLocalStorage<LifeId>();

/** Runs code of a session in its own async context. */
export function runAttributed<T>(life: LifeId, work: () => T): T {
  return activationContext.run(life, work);
}

/**
 * Attributes uncaught errors and `process.exit` in a pool thread to the session whose async context they come from:
 * only that session ends. An error that cannot be attributed ends the thread.
 */
export function attributeErrors(ended: (life: LifeId, how: RuntimeFailure, error: Error) => void): void {
  process.on("uncaughtException", (error: unknown) => {
    const life = activationContext.getStore();
    if (life === undefined) throw error;
    ended(life, "threw", asError(error));
  });
  const exit = process.exit.bind(process);
  process.exit = (code) => {
    const life = activationContext.getStore();
    if (life === undefined) return exit(code);
    const ending = new Error(`it called process.exit(${code ?? ""})`);
    ended(life, "exited", ending);
    throw ending;
  };
  syncBuiltinESMExports(); // also for modules that import `exit` by name
}
