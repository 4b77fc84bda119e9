/** Values and ids of any form, in events of CopilotKit's runs and in messages of its clients. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { EventType, type BaseEvent } from "@ag-ui/client";
import { randomUUID } from "node:crypto";
import assert from "node:assert/strict";
import { test } from "node:test";
import { lastValueFrom, toArray, type Observable } from "rxjs";
import { copilotRunner } from "../../../src/adapters/copilotkit.ts";
import { SessionError, type Sessions } from "../../../src/index.ts";
import { inMemory } from "../../support/in-memory.ts";
import { testsOfValues, type Keeping } from "../hostile-values.ts";
import { event } from "./agents.ts";

type Given = BaseEvent & {
  readonly value?: unknown;
  readonly message?: string;
  readonly code?: string;
  readonly input?: { readonly messages: readonly { readonly value?: unknown }[] };
};

/** The error that the last event of a run tells: its message begins with the path of a value. */
function errorOf({ code, message = "" }: Given): SessionError {
  const path = message.split(" ", 1)[0]!;
  if (code === "value_unstorable") return new SessionError(code, { path, expected: "json" });
  if (code === "turn_too_large") return new SessionError(code, { sessionId: "t", bytes: 0, bytesMax: 0 });
  if (code === "write_too_large")
    return new SessionError(code, { sessionId: "t", part: "writeBytes", count: 0, countMax: 0 });
  throw new Error(`${code}: ${message}`);
}

async function keepingOf(sessions: Sessions, place: "event" | "message"): Promise<Keeping> {
  const runner = await copilotRunner(sessions);
  const all = async (events: Observable<Given>): Promise<readonly Given[]> =>
    await lastValueFrom(events.pipe(toArray()), { defaultValue: [] });
  return {
    write: async (threadId, value) => {
      const runId = randomUUID();
      const message = { id: randomUUID(), role: "user", content: "Hi", ...(place === "message" ? { value } : {}) };
      const agent = {
        abortRun: () => undefined,
        runAgent: async (_input: unknown, client: { onEvent(of: { event: BaseEvent }): Promise<void> }) => {
          const give = async (given: BaseEvent): Promise<void> => await client.onEvent({ event: given });
          await give(event("RUN_STARTED", { threadId, runId }));
          if (place === "event") await give(event("CUSTOM", { name: "any", value }));
          await give(event("RUN_FINISHED", { threadId, runId }));
        },
      };
      const events = await all(runner.run({ threadId, agent, input: { threadId, runId, messages: [message] } }));
      // The runtime sends each event as JSON.
      JSON.stringify(events);
      const last = events.at(-1)!;
      if (last.type === EventType.RUN_ERROR) throw errorOf(last);
    },
    read: async (threadId) => {
      const events = await all(runner.connect({ threadId }));
      const holders = events.flatMap((given) => (place === "event" ? [given] : (given.input?.messages ?? [])));
      return holders.flatMap((holder) => (Object.hasOwn(holder, "value") ? [holder.value] : []));
    },
  };
}

testsOfValues("copilotkit", async (sessions) => await keepingOf(sessions, "event"));
testsOfValues("copilotkit, in a message,", async (sessions) => await keepingOf(sessions, "message"));

test("copilotkit refuses a date and bytes, of which JSON would make other values", async () => {
  for (const place of ["event", "message"] as const)
    for (const value of [new Date(0), new Uint8Array([1])]) {
      await using stored = inMemory();
      const keeping = await keepingOf(stored.sessions, place);
      const refused = { code: "value_unstorable", message: /deep\[0\]/ };
      await assert.rejects(keeping.write("t", { deep: [value] }), refused);
      assert.deepEqual(await keeping.read("t"), []);
    }
});
