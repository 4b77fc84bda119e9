import { setTimeout as sleep } from "node:timers/promises";

/** Resolves once it is so. The time limit of the runner ends a test that waits in vain. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(10);
}
