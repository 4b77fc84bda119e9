/** Packages that the program brings. An adapter imports its package when it first needs it. */
import { SessionError } from "../../errors.ts";

/**
 * Loads a package.
 * @param load imports the package, or an entry point of it
 * @param functions the functions and classes that the adapter calls
 * @throws SessionError `argument_invalid` if the package is not installed, or lacks one of the functions
 */
export async function loadPeer<Package extends object>(
  name: string,
  load: () => Promise<unknown>,
  functions: readonly (keyof Package)[] = [],
): Promise<Package> {
  const missing = (cause?: unknown): SessionError =>
    new SessionError("argument_invalid", { name, expected: "package" }, { cause });
  let loaded: Package;
  try {
    loaded = (await load()) as Package;
  } catch (cause) {
    throw missing(cause);
  }
  if (functions.some((one) => typeof loaded[one] !== "function")) throw missing();
  return loaded;
}
