/** Resolves the packages of assistant-ui for the tests and for the example. */
import { resolvePackages } from "../resolve.ts";

resolvePackages(import.meta.url, ["@assistant-ui/core"]);
