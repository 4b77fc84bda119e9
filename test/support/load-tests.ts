import { test } from "node:test";

/**
 * Loads files of tests, and lets no test run before all are loaded. Node runs the `after` hooks of a process as soon as
 * every test that is known has ended, so the hooks of one file would run while the next one is being loaded.
 */
export async function loadTests(addresses: readonly string[]): Promise<void> {
  const loaded = Promise.withResolvers<void>();
  test("the files of tests are loaded", () => loaded.promise);
  try {
    for (const address of addresses) await import(address);
    loaded.resolve();
  } catch (error) {
    loaded.reject(error);
  }
}
