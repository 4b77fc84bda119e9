import { AsyncLocalStorage } from "node:async_hooks";
import { syncBuiltinESMExports } from "node:module";
import type { RuntimeFailure } from "../../errors.ts";
import { asError } from "../runtime/runtime.ts";
import type { LifeId } from "./wire.ts";

/** Whose code it is that runs, also in its timers and promises. */
const lifeWithin = new AsyncLocalStorage<LifeId>();

/** Let a session's code run, in its name. */
export function runAttributed<T>(life: LifeId, work: () => T): T {
  return lifeWithin.run(life, work);
}

/**
 * What a session left running and what it asks of the process end that session and nobody beside it, in the thread that
 * they share. Where nobody knows whose it was, the thread ends.
 */
export function attributeErrors(ended: (life: LifeId, how: RuntimeFailure, error: Error) => void): void {
  process.on("uncaughtException", (error: unknown) => {
    const life = lifeWithin.getStore();
    if (life === undefined) throw error;
    ended(life, "threw", asError(error));
  });
  const exit = process.exit.bind(process);
  process.exit = (code) => {
    const life = lifeWithin.getStore();
    if (life === undefined) return exit(code);
    const ending = new Error(`it called process.exit(${code ?? ""})`);
    ended(life, "exited", ending);
    throw ending;
  };
  syncBuiltinESMExports(); // also for who imports `exit` by name
}
