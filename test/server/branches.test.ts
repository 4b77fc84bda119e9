/** Branches over HTTP: the routes, and the client beside a local session. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, hasCode } from "../../src/client/index.ts";
import { serve } from "./serving.ts";

test("an edit over HTTP keeps the earlier version, which is listed, compared, switched to and removed", async () => {
  await using place = serve();
  const token = await place.key("write");
  const far = connect({
    url: "http://perdure.test",
    key: token,
    fetch: async (input, init) => await place.server.fetch(new Request(input, init)),
  });
  const session = await far.create({ id: "s" });
  for (const question of ["one", "two"]) await Array.fromAsync(await session.consult(question));
  await Array.fromAsync(await session.edit(2, "two, differently"));
  await Array.fromAsync(await session.regenerate());
  const local = await place.sessions.get("s");
  assert.deepEqual(await session.branches(), await local.branches());
  const versions = await session.branches({ at: 2 });
  assert.deepEqual(
    versions.map(({ id, index, count, isCurrent }) => [id, index, count, isCurrent]),
    [
      ["1", 1, 3, false],
      ["2", 2, 3, false],
      ["3", 3, 3, true],
    ],
  );
  const compared = await session.compare("1", "3");
  assert.deepEqual(compared, await local.compare("1", "3"));
  assert.equal(compared.shared, 1);
  await session.switchTo("1");
  await session.append({ input: "three", output: "an answer" });
  const inputs = (await Array.fromAsync(session.turns())).map(({ input }) => input[0]?.content);
  assert.deepEqual(inputs, ["one", "two", "three"]);
  await session.removeBranch("3");
  await assert.rejects(session.switchTo("3"), (error) => hasCode(error, "branch_not_found"));
});
