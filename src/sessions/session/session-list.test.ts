import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { exportSessions } from "../../admin.ts";
import { SessionError } from "../../errors.ts";

test("a list and an export refuse an option that does not exist, and name all that exist", async () => {
  await using place = inMemory();
  const { sessions } = place;
  const misspelt = { sort: "created" } as object;
  const known = async (call: () => Promise<unknown>): Promise<readonly unknown[]> => {
    const error = await call().catch((error: unknown) => error);
    assert(error instanceof SessionError && error.code === "argument_invalid");
    return (error.details as { known: readonly unknown[] }).known;
  };
  const ofList = await known(() => sessions.list(misspelt));
  const ofExport = await known(() => exportSessions(sessions, misspelt).next());
  for (const name of ["agent", "createdSince", "order", "limit", "after"]) assert(ofList.includes(name), name);
  for (const name of ["agent", "createdSince", "onSkipped", "after"]) assert(ofExport.includes(name), name);
});
