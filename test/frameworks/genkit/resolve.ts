/** Resolves the package of genkit for the sources of the adapter and for the example. */
import { resolvePackages } from "../resolve.ts";

resolvePackages(import.meta.url, ["genkit"]);
