/** Resolves the package of the Claude Agent SDK for the sources of the adapter and for the example. */
import { resolvePackages } from "../resolve.ts";

resolvePackages(import.meta.url, ["@anthropic-ai/claude-agent-sdk"]);
