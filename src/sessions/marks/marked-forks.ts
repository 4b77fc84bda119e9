import { forkOf } from "../../domain/copies/fork.ts";
import { eachEntry } from "../core/log-reader.ts";
import type { UserContent } from "./mark.ts";
import type { Owner } from "./turn-owners.ts";
import { inheritedOf } from "./marked-turns.ts";

/** Forks of this session that also contain turns of the user. */
export async function* forksContaining(
  { core, tenant, user }: Owner,
  { record, from, isTheirs }: UserContent,
): AsyncGenerator<UserContent, void, void> {
  for await (const entry of eachEntry(core, record, "forks")) {
    const fork = (await core.find({ tenant, id: forkOf(entry) }))?.record;
    // A fork with turns of its own has no parent any more: its creation, and the turns that it shared, tell it from a later session.
    if (fork === undefined || fork.createdAt !== entry.at || (await inheritedOf(core, fork)) < from) continue;
    yield { record: fork, from, isTheirs: fork.user === user || (isTheirs && fork.user === null) };
  }
}
