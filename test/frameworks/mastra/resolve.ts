/** Resolves the packages of Mastra for the sources of the adapter and for the example. */
import { resolvePackages } from "../resolve.ts";

resolvePackages(import.meta.url, ["@mastra/core", "@mastra/memory"]);
