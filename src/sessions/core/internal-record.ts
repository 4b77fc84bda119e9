import { changeOf, type Change } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import { draftOfNew } from "../../domain/record/lifecycle.ts";
import type { Metadata, SessionRecord } from "../../domain/record/record.ts";
import { stateAt } from "../../domain/record/states.ts";
import type { Core } from "./core.ts";

/** A small record that is no conversation, in the place of the one that was found there, or of none. */
export function internalChange(
  core: Core,
  key: SessionKey,
  found: SessionRecord | undefined,
  content: {
    readonly agent?: string;
    readonly user?: string;
    readonly metadata: Metadata;
    readonly ttlMs: number;
    /** When it begins to live. @default now */
    readonly now?: number;
  },
): Change {
  const { agent = "perdure", user = null, metadata, ttlMs } = content;
  const context = core.context();
  const session = { key, agent, user, metadata, ttlMs, maxAgeMs: null, instructions: null };
  return changeOf(draftOfNew(session, found, context, content.now));
}

/** The metadata of a record that was found, unless it has expired. */
export function liveMetadata(core: Core, record: SessionRecord | undefined): Metadata | undefined {
  return record !== undefined && stateAt(record, core.now()) === "active" ? record.metadata : undefined;
}
