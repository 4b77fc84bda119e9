import type { Change } from "../../domain/record/change.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { removalChanges } from "../attachments/removal.ts";
import { withoutForks } from "../handle/detach-forks.ts";
import type { Handle } from "../handle/handle.ts";
import { removeSharesOf } from "../shares/share-record.ts";
import { removeStreamsOf, streamRemovals } from "../handle/session-streams.ts";

/** Remove a session with all its data. `guard` throws for a record that is to stay. @throws SessionError `legal_hold` */
export async function removeOn(handle: Handle, guard?: (record: SessionRecord) => void): Promise<void> {
  handle.core.guardStore();
  await handle.operate("remove", async () => {
    const { core, key } = handle;
    const beside = async (): Promise<readonly Change[]> => [
      ...(await removalChanges(core, handle.record)),
      ...(await streamRemovals(core, key)),
    ];
    const rule = (record: SessionRecord): Change => {
      guard?.(record);
      return removeSession(record);
    };
    await withoutForks(handle, () => handle.write(({ record }) => rule(record), { beside }));
    // One that began meanwhile, and those beyond the bound of a commit.
    await removeStreamsOf(core, key);
    await removeSharesOf(core, key);
  });
}
