/**
 * Resolves the package `ai` for the sources of the adapter and for the example, which have no packages of this folder beside
 * them, and the doors of Perdure to their sources.
 */
import { registerHooks } from "node:module";

const here = new URL("resolve-ai.ts", import.meta.url).href;
const doors: Readonly<Record<string, string>> = {
  perdure: new URL("../../src/index.ts", import.meta.url).href,
  "perdure/ai": new URL("../../src/adapters/ai.ts", import.meta.url).href,
};

registerHooks({
  resolve: (specifier, context, next) => {
    const isPeer = specifier === "ai" || specifier === "ai/test";
    const door = Object.hasOwn(doors, specifier) ? doors[specifier] : undefined;
    return next(door ?? specifier, isPeer ? { ...context, parentURL: here } : context);
  },
});
