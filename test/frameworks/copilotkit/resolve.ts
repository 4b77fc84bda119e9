/** Resolves the packages of CopilotKit for the sources of the adapter and for the example. */
import { resolvePackages } from "../resolve.ts";

// The runtime reads it once, when it is loaded.
process.env["COPILOTKIT_TELEMETRY_DISABLED"] = "true";
resolvePackages(import.meta.url, ["@copilotkit/runtime", "@ag-ui/client", "rxjs"]);
