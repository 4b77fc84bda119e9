/** Values and ids of any form, in transcripts of Claude. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { randomUUID } from "node:crypto";
import { claudeStore } from "../../../src/adapters/claude.ts";
import { testsOfValues } from "../hostile-values.ts";

testsOfValues("claude", (sessions) => ({
  write: (sessionId, value) =>
    claudeStore(sessions).append({ projectKey: "p", sessionId }, [{ type: "custom", uuid: randomUUID(), value }]),
  read: async (sessionId) =>
    ((await claudeStore(sessions).load({ projectKey: "p", sessionId })) ?? []).map((line) => line["value"]),
}));
