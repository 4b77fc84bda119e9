/** Resolves the peers that the project installs to their lowest versions, where PERDURE_TEST_PEER is `lowest`. */
import { resolvePackages } from "../resolve.ts";

resolvePackages(import.meta.url, ["@opentelemetry/api", "openai", "pg"]);
