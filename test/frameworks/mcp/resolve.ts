/** Resolves the package `@modelcontextprotocol/server` for the sources of the adapter and for the example. */
import { resolvePackages } from "../resolve.ts";

resolvePackages(import.meta.url, ["@modelcontextprotocol/server", "@modelcontextprotocol/client"]);
