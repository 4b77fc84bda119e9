/** Values and ids of any form, in events of the ADK. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { createEvent } from "@google/adk";
import { adkSessions } from "../../../src/adapters/adk.ts";
import { testsOfValues } from "../hostile-values.ts";

testsOfValues("adk", async (sessions) => {
  const service = adkSessions(sessions);
  const named = (sessionId: string) => ({ appName: "shop", userId: "ada", sessionId });
  return {
    write: async (id, value) => {
      const session = (await service.getSession(named(id))) ?? (await service.createSession(named(id)));
      await service.appendEvent({ session, event: createEvent({ author: "user", customMetadata: { value } }) });
    },
    read: async (id) =>
      (await service.getSession(named(id)))?.events.map((event) => event.customMetadata?.["value"]) ?? [],
  };
});
