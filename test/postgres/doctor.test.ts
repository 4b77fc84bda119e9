/** The doctor on a PostgreSQL store that somebody else has written to. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Finding } from "../../src/sessions/doctor.ts";
import { Sessions } from "../../src/sessions/sessions.ts";
import { openPostgres } from "../../src/store/postgres/index.ts";
import { PostgresServer, query } from "./server.ts";

let server: PostgresServer;
before(async () => {
  server = await PostgresServer.start();
});
after(async () => {
  await server[Symbol.asyncDispose]();
});

test("gaps, lost ends and entries of no session are found; what can be mended is, on request", async () => {
  const url = server.url();
  const sessions = Sessions.on(await openPostgres({ url }), { sweep: false });
  try {
    for (const id of ["a", "b", "c", "d"]) {
      const session = await sessions.create({ id });
      for (let turn = 0; turn < 3; turn++) await session.append({ input: "q", output: "a" });
    }
    assert.equal((await sessions.doctor()).findings, 0);
    await query(url, "delete from perdure.entries where session = 'a' and seq = 3");
    await query(url, "delete from perdure.entries where session = 'b' and seq = 2");
    await query(url, "delete from perdure.sessions where id = 'c'");
    const found: Finding[] = [];
    const report = await sessions.doctor({ repair: true, onFinding: (finding) => found.push(finding) });
    assert.deepEqual(
      found.map(({ kind, session, repaired }) => [kind, session, repaired]),
      [
        ["orphans", null, false],
        ["head", "a", true],
        ["counters", "a", true],
        ["gap", "b", false],
      ],
    );
    assert.match(found[0]?.what ?? "", /^4 entries of session c of tenant default/);
    assert.deepEqual([report.sessions, report.complete], [3, true]);
    assert.equal((await (await sessions.get("a")).append({ input: "on" })).seq, 3);
  } finally {
    await sessions.close();
  }
});
