/** Resolves the Agents SDK for the sources of the adapter and for the example. */
import { resolvePackages } from "../resolve.ts";

resolvePackages(import.meta.url, ["@openai/agents", "zod"]);
