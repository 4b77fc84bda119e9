/** How a turn in progress ends, and how callers write other records beside its seal. */
import { defined } from "../../../domain/values/defined.ts";
import { invalidText, parseArray } from "../../../domain/values/invalid-argument.ts";
import { guardNames, guardObject, type OptionNames } from "../../../domain/values/option-names.ts";
import { durationMaxMs } from "../../../domain/values/limits.ts";
import {
  parseMessages,
  type Message,
  type ReportedUsage,
  type Step,
  type Turn,
  type Usage,
} from "../../../domain/turns/turn.ts";
import type { Sealing } from "../../../domain/turns/turns.ts";
import {
  addUsage,
  estimateUsage,
  isCount,
  isFinish,
  isModelName,
  parseSteps,
  parseUsage,
} from "../../../domain/turns/usage.ts";
import type { ChangesBeside } from "../../core/writable-session.ts";
import { parseOneOf } from "../../options/arguments.ts";

/** How a turn in progress is sealed. */
export interface Seal {
  /** @default "done" */
  readonly status?: "done" | "failed" | "interrupted";
  /** @default the written chunks, assembled */
  readonly output?: readonly Message[];
  /** @default none: nothing is counted */
  readonly usage?: ReportedUsage;
  /** The agent that answered. @default the agent with which the turn began */
  readonly agent?: string;
  readonly model?: string;
  /** Calls of a model. @default 1; 0 in `sealWaiting` */
  readonly requests?: number;
  /** The usage of each model call, if there were several. */
  readonly steps?: readonly Step[];
  /** The finish reason of the provider. */
  readonly finish?: string;
  readonly error?: { readonly code: string; readonly message: string };
}

const sealNames: OptionNames<Seal> = {
  status: true,
  output: true,
  usage: true,
  agent: true,
  model: true,
  requests: true,
  steps: true,
  finish: true,
  error: true,
};

/** @throws SessionError `argument_invalid`, `message_invalid` */
export function guardSeal(seal: Seal): void {
  guardNames(seal, "seal", sealNames);
  const { status, output, steps, error } = seal;
  if (status !== undefined) parseOneOf(status, "status", ["done", "failed", "interrupted"]);
  if (output !== undefined) parseMessages(parseArray(output, "output"), "assistant", "output");
  if (steps !== undefined)
    for (const [index, step] of parseArray(steps, "steps").entries()) guardObject(step, `steps[${index}]`);
  if (error === undefined) return;
  guardNames(error, "error", { code: true, message: true });
  for (const name of ["code", "message"] as const)
    if (typeof error[name] !== "string") throw invalidText(`error.${name}`, error[name], {});
}

/** The usage of a turn since it was begun or resumed. */
export type SealUsage = Pick<Seal, "usage" | "requests" | "agent" | "model" | "steps">;

/**
 * Commits the seal together with a change of another record: it gets a function that makes the change of the seal for each
 * try.
 */
export type SealBeside = (changes: ChangesBeside) => Promise<unknown>;

/** How the seal of a turn and a change of another record land in one commit. */
export interface SealTogether {
  /** Commits both: the other record is written with the seal beside it. */
  readonly commit?: SealBeside;
  /** Changes of other records beside the seal. */
  readonly beside?: ChangesBeside;
}

/**
 * The usage and the end of a turn, as values that can be stored and summed, whatever its model reports. `before`: the number
 * of messages in the output that were written before the turn was resumed.
 */
export function sealedUsage(
  open: Turn,
  { usage, requests, agent, model, steps, finish, error }: Seal,
  { output, before, now }: { readonly output: readonly Message[]; readonly before: number; readonly now: number },
): Omit<Sealing, "status" | "output"> {
  const estimate = (): Usage => estimateUsage(open.input, output.slice(before));
  const elapsedMs = now - open.at.getTime() - (open.waitedMs ?? 0);
  const used = usage === undefined ? undefined : parseUsage(usage, estimate);
  const called = steps === undefined ? undefined : parseSteps(steps, estimate);
  return defined({
    requests: open.requests + (isCount(requests) ? requests : 1),
    durationMs: Math.min(Math.max(0, elapsedMs), durationMaxMs),
    // The open turn has the usage before it waited.
    usage: used === undefined ? open.usage : addUsage(open.usage, used),
    agent: isModelName(agent) ? agent : undefined,
    model: isModelName(model) ? model : undefined,
    steps: open.steps === undefined ? called : [...open.steps, ...(called ?? [])],
    finish: isFinish(finish) ? finish : undefined,
    error,
  });
}
