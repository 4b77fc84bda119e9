/** The adapter of OpenAI's Agents SDK, with the SDK itself. */
import { frameworkTests } from "./framework-tests.ts";

await frameworkTests("openai-agents", ["sessions.ts", "round-trips.ts", "durable.ts", "crash.ts"]);
