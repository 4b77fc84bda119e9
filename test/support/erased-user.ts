/** A user to be erased, and what the user wrote. */
import { inMemory, type InMemory } from "./in-memory.ts";
import type { References } from "../../src/sessions/erasure/references.ts";
import type { SharedForks } from "../../src/sessions/erasure/shared-forks.ts";
import type { Session } from "../../src/sessions/session/session.ts";
import type { Sessions } from "../../src/sessions/sessions.ts";

export const secret = "a secret for tests only";
export const day = 86_400_000;
export const ada = "ada.lovelace@example.com";
export const none: SharedForks = { count: 0, legalHold: 0, ids: [] };

/** The references to a user of whom the store has nothing. */
export const noReferences: References = {
  sessions: 0,
  legalHold: 0,
  devices: 0,
  pointers: 0,
  documents: { count: 0, keys: [] },
  outbox: 0,
  sharedForks: none,
};

export function place(options = {}): InMemory {
  return inMemory({ secret, ...options });
}

export async function talk(session: Session, turns = 2, words = "a secret of Ada's"): Promise<void> {
  for (let turn = 1; turn <= turns; turn++) await session.append({ input: `${words} ${turn}`, output: "I see" });
}

export async function idsIn(sessions: Sessions): Promise<string[]> {
  return (await sessions.list({ limit: 1000 })).items.map(({ id }) => id).toSorted();
}
