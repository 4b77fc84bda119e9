/** The public functions of the remaining adapters, and of the studio, refuse a wrong argument with a `SessionError`. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as adk from "../../src/adapters/adk.ts";
import * as copilotkit from "../../src/adapters/copilotkit.ts";
import * as express from "../../src/adapters/express.ts";
import * as fastify from "../../src/adapters/fastify.ts";
import * as genkit from "../../src/adapters/genkit.ts";
import * as hono from "../../src/adapters/hono.ts";
import * as mastra from "../../src/adapters/mastra.ts";
import * as next from "../../src/adapters/next.ts";
import * as studio from "../../src/studio/index.ts";
import { leftOut } from "../frameworks/install.ts";
import { inMemory, type InMemory } from "../support/in-memory.ts";
import { functionsOf, walk, type Calls } from "./walk.ts";

/** Packages that a door loads when it is called. */
const peers: Readonly<Record<string, string>> = { "perdure/copilotkit": "copilotkit", "perdure/mastra": "mastra" };
for (const folder of Object.values(peers))
  if (leftOut(folder) === false) await import(`../frameworks/${folder}/resolve.ts`);

const open = (): InMemory => inMemory({ secret: "a secret for tests only" });
const user = (): string => "ada";
const web = { user, keep: "device", secureCookies: true };
const ExpressSession = Object.assign(() => undefined, {
  Store: class {
    readonly name = "store";
  },
});

const doors: Readonly<Record<string, readonly [module: object, calls: Calls<InMemory>]>> = {
  "perdure/adk": [
    adk,
    {
      adkSessions: ({ sessions }) => ({
        of: adk,
        args: [sessions, { ttl: "1h", onConflict: "reload", sessionOf: () => "s" }],
      }),
    },
  ],
  "perdure/copilotkit": [
    copilotkit,
    {
      copilotRunner: ({ sessions }) => ({
        of: copilotkit,
        args: [sessions, { user: "ada", ttl: "1h", waitUntil: () => undefined }],
      }),
    },
  ],
  "perdure/express": [
    express,
    {
      perdure: ({ sessions }) => ({ of: express, args: [sessions, web] }),
      perdureErrors: () => ({ of: express, args: [] }),
      expressStore: ({ sessions }) => ({ of: express, args: [ExpressSession, sessions, { ttl: "1h" }] }),
    },
  ],
  "perdure/fastify": [
    fastify,
    {
      perdure: ({ sessions }) => ({ of: fastify, args: [sessions, web] }),
      perdureErrors: () => ({ of: fastify, args: [] }),
      fastifyStore: ({ sessions }) => ({ of: fastify, args: [sessions, { ttl: "1h" }] }),
    },
  ],
  "perdure/genkit": [
    genkit,
    {
      genkitStore: ({ sessions }) => ({
        of: genkit,
        args: [sessions, { user, ttl: "1h", rejectBranchingSessions: true, sessionOf: () => "s" }],
      }),
    },
  ],
  "perdure/hono": [hono, { perdure: ({ sessions }) => ({ of: hono, args: [sessions, web] }) }],
  "perdure/mastra": [mastra, { perdureMemory: ({ sessions }) => ({ of: mastra, args: [sessions, { ttl: "1h" }] }) }],
  "perdure/next": [next, { perdure: ({ sessions }) => ({ of: next, args: [sessions, web] }) }],
  "perdure/studio": [
    studio,
    { createStudio: ({ sessions }) => ({ of: studio, args: [{ sessions, path: "/studio", allow: () => null }] }) },
  ],
};

for (const [name, [module, calls]] of Object.entries(doors)) {
  const folder = peers[name];
  const skip = folder === undefined ? false : leftOut(folder);
  test(`every function of ${name} is walked`, () => {
    assert.deepEqual(functionsOf(module).toSorted(), Object.keys(calls).toSorted());
  });
  for (const [method, make] of Object.entries(calls))
    test(`${name}: ${method} refuses wrong arguments`, { skip }, async () => await walk(open, method, make));
}

test("every entry point of the package is walked", () => {
  const root = join(import.meta.dirname, "../..");
  const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly exports: object };
  const walked = ["adapters", "clients", "doors", "library", "stores"]
    .map((name) => readFileSync(join(import.meta.dirname, `${name}.test.ts`), "utf8"))
    .join("");
  const missing = Object.keys(exports)
    .filter((name) => name !== "." && !name.endsWith(".json"))
    .filter((name) => !walked.includes(`perdure${name.slice(1)}`));
  assert.deepEqual(missing, []);
});
