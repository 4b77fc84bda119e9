/** Begins a turn that the caller answers. */
import { sessionIds } from "../../domain/record/guards.ts";
import { parseMessages, type MessageInput } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import type { Handle } from "../handle/handle.ts";
import { beginOn } from "../turns/begin.ts";
import { parseAfter } from "../turns/question.ts";
import type { TurnInProgress } from "../turns/turn-in-progress.ts";
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
}

/** @throws SessionError as `Session.begin` */
export async function beginTurnOn(
  handle: Handle,
  input: MessageInput,
  { key, agent, model, after }: BeginTurnOptions,
): Promise<TurnInProgress> {
  if (after !== undefined) handle.core.guardStore();
  const open = defined({
    key: handle.core.turnKey(key),
    agent: answeringAgent(handle, agent),
    input: parseMessages(input, "user", "input"),
    model: model === undefined ? undefined : parseModelName(model),
  });
  return await handle.inOrder(async () => {
    const replaces = after === undefined ? undefined : parseAfter(after);
    const options = { ticket: null, named: agent !== undefined, after: replaces, recovers: "dead" } as const;
    const begun = await beginOn(handle, open, options);
    if (begun.status === "begun") return begun.inProgress;
    throw new SessionError("turn_not_open", { ...sessionIds(handle.record), turn: begun.turn.seq });
  });
}
