/** Resolves the packages of web frameworks for the example. */
import { resolvePackages } from "../resolve.ts";

resolvePackages(import.meta.url, [
  "@edge-runtime/cookies",
  "express",
  "express-session",
  "fastify",
  "@fastify/cookie",
  "@fastify/session",
]);
