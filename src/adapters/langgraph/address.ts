/** The place of a checkpoint, as the configuration of a run names it. */
import { SessionError } from "../../index.ts";
import { guardObject } from "../../domain/values/option-names.ts";
import type { RunnableConfig } from "./package-checkpoint.ts";

export interface Address {
  readonly thread: string | undefined;
  /** Undefined: all namespaces where checkpoints are listed, else the root. */
  readonly ns: string | undefined;
  readonly id: string | undefined;
  /** True where the run has named this checkpoint, and did not just find it as the newest one. */
  readonly isNamed: boolean;
}

/**
 * The field that marks a checkpoint as named: a run copies the configuration that it was given into that of its first checkpoint.
 * Its value is undefined, so that it is no part of the configuration for everything else.
 */
function markOf(id: string): string {
  return `__perdure_named:${id}`;
}

/** @throws SessionError `argument_invalid` */
export function addressOf(config: RunnableConfig): Address {
  guardObject(config, "config");
  const { configurable = {} } = config;
  guardObject(configurable, "config.configurable");
  const { checkpoint_id: id, thread_ts: earlierName } = configurable;
  const named = textOf(id, "checkpoint_id") ?? textOf(earlierName, "thread_ts");
  return {
    thread: textOf(configurable["thread_id"], "thread_id"),
    ns: textOf(configurable["checkpoint_ns"], "checkpoint_ns", 0),
    id: named,
    isNamed: named !== undefined && Object.hasOwn(configurable, markOf(named)),
  };
}

/** The field, which must be there. @throws SessionError `argument_invalid` */
export function required(value: string | undefined, name: string): string {
  if (value !== undefined) return value;
  throw new SessionError("argument_invalid", { name: `configurable.${name}`, expected: "text", min: 1 });
}

/** The configuration of a checkpoint. `isNamed`: a run that is given it goes on from there on purpose. */
export function configOf(
  { thread, ns, id }: { readonly thread: string; readonly ns: string; readonly id: string },
  { isNamed }: { readonly isNamed: boolean },
): { configurable: Record<string, unknown> } {
  const configurable: Record<string, unknown> = { thread_id: thread, checkpoint_ns: ns, checkpoint_id: id };
  if (isNamed) configurable[markOf(id)] = undefined;
  return { configurable };
}

/** Programs number their threads as well. An empty id counts as none. */
function textOf(value: unknown, name: string, min = 1): string | undefined {
  if (value === undefined || value === null) return undefined;
  const text = typeof value === "number" ? String(value) : value;
  if (typeof text !== "string")
    throw new SessionError("argument_invalid", {
      name: `configurable.${name}`,
      value: typeof value,
      expected: "text",
      min,
    });
  return text.length >= min ? text : undefined;
}
