/** A process that appends lines from its standard input, and is killed before one of its commits. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { claudeStore, type ClaudeEntry, type ClaudeSessionKey } from "../../../src/adapters/claude.ts";
import { openSessions } from "../../../src/index.ts";
import { callStore, storeBefore } from "../../../src/store/calls/forwarding-store.ts";
import { openPostgres } from "../../../src/store/postgres/open.ts";
import { openSqlite } from "../../../src/store/sqlite/open.ts";

const [url = "", batches = "", commitsMax = ""] = process.argv.slice(2);
const store = await (url.startsWith("sqlite:") ? openSqlite({ url }) : openPostgres({ url }));
let commits = 0;
const counted = storeBefore(store, (method, args) => {
  if (method === "commit" && ++commits > Number(commitsMax)) process.kill(process.pid, "SIGKILL");
  return callStore(store, method, args);
});
const sessions = await openSessions({
  store: counted,
  sweep: false,
  limits: { entryBytesMax: 8192, writeBytesMax: 16_384 },
});
const claude = claudeStore(sessions);
for (const { key, entries } of JSON.parse(batches) as readonly {
  readonly key: ClaudeSessionKey;
  readonly entries: readonly ClaudeEntry[];
}[]) {
  await claude.append(key, entries);
  process.stdout.write("appended\n");
}
process.kill(process.pid, "SIGKILL");
