/** A session as a file, in another store, forked and archived. */
import { join } from "node:path";
import { SnapshotDirectory } from "../src/admin.ts";
import { openSessions } from "../src/index.ts";

type Say = (who: string | number, text: string) => void;

/** Throws where a promise is broken. */
export async function keepAndMove(
  { store, id, workplace }: { readonly store: string; readonly id: string; readonly workplace: string },
  say: Say,
): Promise<void> {
  await using sessions = await openSessions({ store, sweep: false });
  const saved = await new SnapshotDirectory(join(workplace, "saved"), sessions).save(id);
  say("save", `${id} is a file of ${saved.bytes} bytes`);
  await using elsewhere = await openSessions({ store: `sqlite:${join(workplace, "elsewhere.db")}`, sweep: false });
  const snapshot = await sessions.snapshot(id);
  const restored = await elsewhere.restore(snapshot);
  expect(JSON.stringify(await elsewhere.snapshot(id)) === JSON.stringify(snapshot), "a snapshot changed on its way");
  say("restore", `in another store it is the same, byte for byte, ${restored.info.turn} turns`);

  const fork = await restored.fork({ at: 1, as: "another-way" });
  await fork.append({ input: "and if I had asked this instead?" });
  const { turn } = fork.info;
  expect(turn === 2 && restored.info.turn > 2, "a fork is not its own");
  await restored.archive();
  const { archive } = (await elsewhere.get(id)).info;
  expect((await Array.fromAsync(restored.turns())).length === restored.info.turn, "an archive cannot be read");
  const parts = archive === null ? "" : `, ${archive.bytes} bytes in ${archive.packedBytes}`;
  say("archive", `it is archived${parts}, and still readable; its fork has continued with turn ${turn}`);
}

function expect(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(`broken promise: ${otherwise}`);
}
