/** An option that is true or false takes nothing else: a text such as "false" would count as true. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { doctor, sweep } from "../../src/admin.ts";
import { genkitStore } from "../../src/adapters/genkit.ts";
import { openaiModel } from "../../src/adapters/openai.ts";
import { SessionError } from "../../src/errors.ts";
import { openSessions, type Sessions } from "../../src/index.ts";
import { createServer } from "../../src/server/index.ts";
import { inMemory } from "../support/in-memory.ts";

type Call = (sessions: Sessions, value: never) => unknown;

const calls: Readonly<Record<string, Call>> = {
  dryRun: (sessions, dryRun) => sweep(sessions, { dryRun }),
  repair: (sessions, repair) => doctor(sessions, { repair }),
  deviceApprovals: (sessions, deviceApprovals) => createServer({ sessions, deviceApprovals }),
  deviceConversations: (sessions, deviceConversations) => createServer({ sessions, deviceConversations }),
  openMetrics: (sessions, openMetrics) => createServer({ sessions, openMetrics }),
  secureCookies: (sessions, secureCookies) => createServer({ sessions, secureCookies }),
  rejectBranchingSessions: (sessions, rejectBranchingSessions) => genkitStore(sessions, { rejectBranchingSessions }),
  providerFields: (_, providerFields) => openaiModel({ baseURL: "http://localhost:1/v1", model: "m", providerFields }),
  openToDevices: (_, openToDevices) => openSessions({ store: "memory:", agents: { a: { openToDevices } } }),
  default: (_, value) => openSessions({ store: "memory:", agents: { a: { default: value } } }),
};

for (const [name, call] of Object.entries(calls))
  test(`${name} is true or false`, async () => {
    await using place = inMemory();
    for (const value of ["false", 0, null, {}]) {
      const refused = async (): Promise<unknown> => await call(place.sessions, value as never);
      await assert.rejects(refused, (error) => {
        assert.ok(error instanceof SessionError, String(error));
        assert.equal(error.code, "argument_invalid");
        assert.match(error.message, new RegExp(`${name}.*true or false`));
        return true;
      });
    }
  });
