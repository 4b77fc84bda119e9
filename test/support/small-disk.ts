/** A small file system, for tests of what happens when it is full. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import type { TestContext } from "node:test";

/** Mount one of 1 MiB, or of another size, on this folder, until `closing` is disposed of. Says why not, where that is not possible. */
export function mountSmall(folder: string, closing: DisposableStack, size = "1m"): string | undefined {
  mkdirSync(folder);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", folder], { stdio: "pipe" });
  } catch (error) {
    return `this user may not mount a small file system: ${String(error)}`;
  }
  closing.defer(() => execFileSync("umount", [folder]));
  return undefined;
}

/** Skips the test for this reason, if there is one. */
export function skipFor(reason: string | undefined, context: TestContext): boolean {
  if (reason !== undefined) context.skip(reason);
  return reason !== undefined;
}
