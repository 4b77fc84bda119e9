/** Resolves the package `ai` for the sources of the adapter, which have no packages of this folder beside them. */
import { registerHooks } from "node:module";

const here = new URL("resolve-ai.ts", import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier, specifier === "ai" ? { ...context, parentURL: here } : context),
});
