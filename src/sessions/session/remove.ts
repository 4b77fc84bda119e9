import type { Change } from "../../domain/record/change.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { removalChanges } from "../attachments/removal.ts";
import { withoutForks } from "../handle/detach-forks.ts";
import type { Handle } from "../handle/handle.ts";
import { removeSharesOf } from "../shares/share-record.ts";
import { removeStreamsOf } from "../streams/streams-of.ts";

/** Remove a session with all its data. `guard` throws for a record that is to stay. @throws SessionError `legal_hold` */
export async function removeOn(handle: Handle, guard?: (record: SessionRecord) => void): Promise<void> {
  handle.core.guardStore();
  await handle.operate("remove", async () => {
    const beside = (): Promise<readonly Change[]> => removalChanges(handle.core, handle.record);
    const rule = (record: SessionRecord): Change => {
      guard?.(record);
      return removeSession(record);
    };
    await withoutForks(handle, () => handle.write(({ record }) => rule(record), { beside }));
    await removeStreamsOf(handle.core, handle.key);
    await removeSharesOf(handle.core, handle.key);
  });
}
