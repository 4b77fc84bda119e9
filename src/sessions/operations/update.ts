/** Changes the fields of the record that the caller may change. */
import { parseBudget } from "../../domain/record/budget.ts";
import { updateSession, type Patch } from "../../domain/record/lifecycle.ts";
import type { Budget, Metadata } from "../../domain/record/record.ts";
import { defined } from "../../domain/values/defined.ts";
import { parseDuration, parseLifetime, type Duration, type Lifetime } from "../../domain/values/duration.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import { parseLabelPatch, parseTitle, type LabelPatch } from "../../domain/values/labels.ts";
import type { Core } from "../core/core.ts";
import type { Handle } from "../handle/handle.ts";
import { parseMetadata } from "../options/arguments.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { agentWithInstructions } from "./named-agent.ts";

/** The fields that `update` changes; absent fields stay. */
export interface SessionPatch {
  /** Merged key by key; `undefined` removes a key. */
  readonly metadata?: Metadata;
  /** The time to live after the last activity. */
  readonly ttl?: Lifetime;
  /** The time to live after creation, or after the last revival; null removes the limit. */
  readonly maxAge?: Duration | null;
  readonly user?: string | null;
  /** A text for people, at most 256 characters; null: none. */
  readonly title?: string | null;
  /** Merged label by label: a text sets a value, null removes the label. At most 16 labels. */
  readonly labels?: LabelPatch;
  /** The session's agent, from the next turn on; its instructions replace those of the earlier agent. */
  readonly agent?: string;
  readonly instructions?: string;
  /** Null removes it. */
  readonly budget?: Budget | null;
}

const patchNames: OptionNames<SessionPatch> = {
  metadata: true,
  ttl: true,
  maxAge: true,
  user: true,
  title: true,
  labels: true,
  agent: true,
  instructions: true,
  budget: true,
};

/** @throws SessionError as `Session.update` */
export async function updateOn(handle: Handle, patch: SessionPatch): Promise<void> {
  const parsed = parsePatch(handle.core, patch);
  await handle.inFold((queued) =>
    handle.fold(({ record }, context) => updateSession(record, parsed, context), {}, queued),
  );
}

/** @throws SessionError `argument_invalid`, `id_invalid`, `duration_invalid`, `agent_unknown` */
export function parsePatch(core: Core, patch: SessionPatch): Patch {
  guardNames(patch, "patch", patchNames);
  const { metadata, ttl, maxAge, user, title, labels, agent, instructions, budget } = patch;
  return defined({
    metadata: metadata === undefined ? undefined : parseMetadata(metadata),
    ttlMs: ttl === undefined ? undefined : parseLifetime(ttl, "ttl"),
    maxAgeMs: maxAge === undefined ? undefined : maxAge === null ? null : parseDuration(maxAge, "maxAge"),
    user: user === undefined ? undefined : user === null ? null : parseNewId(user, "user"),
    title: title === undefined ? undefined : parseTitle(title),
    labels: labels === undefined ? undefined : parseLabelPatch(labels),
    agent: agent === undefined ? undefined : agentWithInstructions(core, agent),
    instructions,
    budget: budget === undefined ? undefined : budget === null ? null : parseBudget(budget),
  });
}
