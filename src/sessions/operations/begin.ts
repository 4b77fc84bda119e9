/** Begins a turn that the caller answers. */
import { sessionIds, turnOpen } from "../../domain/record/guards.ts";
import { parseMessages, type MessageInput } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import { useReferences } from "../attachments/put.ts";
import type { Handle } from "../handle/handle.ts";
import { parseAfter, parseKeep } from "../options/arguments.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { parseFlush, type Flush } from "../../domain/writes/flush.ts";
import type { TurnInProgress } from "../turns/progress/turn-in-progress.ts";
import type { WriteKey } from "./append.ts";
import { answeringAgent } from "./named-agent.ts";
import { parseModelName } from "./turn-input.ts";

/** How `begin` begins a turn. */
export interface BeginTurnOptions extends WriteKey {
  /** The agent that answers. @default the active agent, else the session's agent */
  readonly agent?: string;
  /** The name of the model. */
  readonly model?: string;
  /** As in `ConsultOptions`: replace the turns after this one, in one commit. @default no turn is replaced */
  readonly after?: number;
  /** As in `ConsultOptions`: a branch keeps the replaced turns. @default false */
  readonly keep?: boolean;
  /** When the chunks of the answer are written, for its readers in other processes. @default after 50 ms or 8192 characters */
  readonly flush?: Flush;
}

const optionNames: OptionNames<BeginTurnOptions> = {
  key: true,
  agent: true,
  model: true,
  after: true,
  keep: true,
  flush: true,
};

/** @throws SessionError as `Session.begin` */
export async function beginTurnOn(
  handle: Handle,
  input: MessageInput,
  options: BeginTurnOptions,
): Promise<TurnInProgress> {
  guardNames(options, "options", optionNames);
  const { key, agent, model, after, keep, flush } = options;
  if (after !== undefined) handle.core.guardStore();
  const open = defined({
    key: handle.core.turnKey(key),
    agent: answeringAgent(handle, agent),
    input: parseMessages(input, "user", "input"),
    model: model === undefined ? undefined : parseModelName(model),
  });
  const keeps = parseKeep(keep, after);
  const flushes = parseFlush(flush);
  return await handle.inOrder(async () => {
    const { beginOn } = await import("../turns/begin.ts");
    await useReferences(handle, open.input);
    const replaces = after === undefined ? undefined : parseAfter(after);
    const how = { ticket: null, named: agent !== undefined, after: replaces, keep: keeps, flush: flushes };
    const begun = await beginOn(handle, open, { ...how, recovers: "dead" });
    if (begun.status === "begun") return begun.inProgress;
    if (begun.status === "running") throw turnOpen(handle.record, begun.turn.seq);
    throw new SessionError("turn_not_open", { ...sessionIds(handle.record), turn: begun.turn.seq });
  });
}
