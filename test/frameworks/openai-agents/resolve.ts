/**
 * Resolves the Agents SDK for the sources of the adapter and for the example: its newest version or, where
 * PERDURE_TEST_PEER is `lowest`, the lowest one that the adapter supports.
 */
import { registerHooks } from "node:module";
import { resolvePackages } from "../resolve.ts";

const [newest, lowest] = ["@openai/agents", "@openai/agents-lowest"];

resolvePackages(import.meta.url, [newest, lowest, "zod"]);
if (process.env["PERDURE_TEST_PEER"] === "lowest")
  registerHooks({
    resolve: (specifier, context, next) => {
      const isPeer = specifier === newest || specifier.startsWith(`${newest}/`);
      return next(isPeer ? specifier.replace(newest, lowest) : specifier, context);
    },
  });
