/** A process that appends lines from its standard input, and is killed before one of its commits. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { claudeStore, type ClaudeEntry, type ClaudeSessionKey } from "../../../src/adapters/claude.ts";
import { openSessions } from "../../../src/index.ts";
import { mortalStore } from "../mortal-store.ts";

const [url = "", batches = "", commitsMax = ""] = process.argv.slice(2);
const store = await mortalStore(url, Number(commitsMax));
const sessions = await openSessions({
  store,
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
