/** Values and ids of any form, in snapshots of Genkit. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { genkitStore } from "../../../src/adapters/genkit.ts";
import { testsOfValues } from "../hostile-values.ts";

testsOfValues("genkit", (sessions) => {
  const store = genkitStore<{ readonly all: readonly unknown[] }>(sessions);
  const read = async (sessionId: string): Promise<readonly unknown[]> =>
    (await store.getSnapshot({ sessionId }))?.state?.custom?.all ?? [];
  return {
    isOneState: true,
    read,
    write: async (sessionId, value) => {
      const before = await store.getSnapshot({ sessionId });
      const all = [...(before?.state?.custom?.all ?? []), value];
      await store.saveSnapshot(undefined, () => ({
        sessionId,
        ...(before === undefined ? {} : { parentId: before.snapshotId }),
        createdAt: new Date().toISOString(),
        status: "completed",
        state: { sessionId, custom: { all } },
      }));
    },
  };
});
