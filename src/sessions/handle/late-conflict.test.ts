import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { changeOf, set } from "../../domain/record/change.ts";
import type { Store } from "../../store/store.ts";
import { coreOf } from "../sessions.ts";
import { Handle } from "./handle.ts";

test("a conflict that is answered late does not take a newer record from its view", async (t) => {
  await using place = inMemory();
  await place.sessions.create({ id: "s" });
  const core = coreOf(place.sessions);
  const key = { tenant: "default", id: "s" };
  const view = new Handle(core, (await core.load(key, [])).record);
  const other = await place.another().get("s");
  await other.update({ metadata: { step: 1 } });
  const commit = core.store.commit.bind(core.store);
  t.mock.method(
    core.store,
    "commit",
    async (batch: Parameters<Store["commit"]>[0]) => {
      const outcomes = await commit(batch);
      await other.update({ metadata: { step: 2 } });
      view.learn((await core.load(key, [])).record);
      return outcomes;
    },
    { times: 1 },
  );
  const steps: unknown[] = [];
  await view.write((draft) => {
    steps.push(draft.record.metadata["step"]);
    set(draft, { title: "a title" });
    return changeOf(draft);
  });
  assert.deepEqual(steps, [undefined, 2]);
});
