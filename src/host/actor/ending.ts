/** The ways in which a live session ends: passivation, stop, kill, and the loss of its lease. */
import type { SessionKey } from "../../domain/record/entry.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { asError, reasonOf } from "../runtime/runtime.ts";
import { RuntimeEnd, type Activation } from "../workers/worker-slot.ts";
import type { ActorContext, HostEvent } from "./actor-context.ts";
import { errorForCaller, stoppedError } from "./actor-errors.ts";
import type { CurrentActivation } from "./current-activation.ts";
import type { CurrentStep } from "./current-step.ts";
import type { Mailbox } from "./mailbox.ts";
import type { Supervisor } from "./supervisor.ts";

/** The parts of an actor in phase stopping. */
export interface EndingSession {
  readonly key: SessionKey;
  readonly host: ActorContext;
  readonly mailbox: Mailbox;
  readonly supervisor: Supervisor;
  readonly step: CurrentStep;
  readonly code: CurrentActivation;
  /** `kill` was called while it stopped. */
  isKilled(): boolean;
  publish(event: Pick<HostEvent, "type" | "cause">): void;
  /** Starts the work loop, unless it is running. */
  work(): void;
  /** Resolves when the work loop is not running. */
  workDone(): Promise<void>;
  /** Lets a timeout, `kill` or the end of the runtime interrupt the current step, until `done`. */
  interruptible(ms: number, interrupt: (error: Error) => void): { done(): void };
  /** Ends the activation. */
  drop(reason: string): Promise<void>;
}

/** Passivates an idle session. Returns "kept" if the store is away, so that its state is not lost. */
export async function tryPassivate(
  session: EndingSession,
  activation: Activation,
  passivate: () => Promise<void>,
): Promise<"kept" | void> {
  try {
    await passivateInTime(session, passivate);
  } catch (error) {
    const mayKeep = error instanceof SessionError && error.retryable && !session.isKilled();
    if (mayKeep && session.code.running === activation) return "kept";
    await passivationFailed(session, asError(error));
  }
}

/** Answers the waiting messages, then passivates the session; kills it after `stopTimeout`. @throws SessionError the store's */
export async function stopSession(session: EndingSession, reason: string): Promise<void> {
  const { stopTimeoutMs } = session.host.options;
  const alarm = session.host.wheel.after(stopTimeoutMs, () => {
    const error = new RuntimeEnd({ how: "deadline", step: "stop", limitMs: stopTimeoutMs });
    session.step.interrupt(error);
    session.mailbox.rejectAll(() => stoppedError(session.key, "stopped"));
  });
  try {
    if (session.mailbox.length > 0) session.work();
    else session.supervisor.leaveQueue(); // no restart is needed before it stops
    await session.workDone();
    const activation = session.code.running;
    // Aborted code may still run, so `deactivate` must not run beside it.
    if (session.isKilled() || activation === undefined) await session.drop(reason);
    else await passivateInTime(session, async () => await activation.passivate(reason));
  } catch (error) {
    await passivationFailed(session, asError(error));
  } finally {
    alarm.cancel();
  }
}

/** Ends the session without saving its state. */
export async function killSession(session: EndingSession): Promise<void> {
  session.step.interrupt(stoppedError(session.key, "killed"));
  session.mailbox.rejectAll(() => stoppedError(session.key, "killed"));
  await session.workDone();
  await session.drop("was killed");
  session.publish({ type: "stopped" });
}

/** Ends a session whose lease another process has. */
export async function loseSession(session: EndingSession, error: Error): Promise<void> {
  const outward = errorForCaller(session.key, error);
  session.mailbox.rejectAll(() => outward);
  await session.workDone();
  session.publish({ type: "fenced", cause: error });
  await session.drop(error.message);
}

/** Passivates the session within `stopTimeout`. */
async function passivateInTime(session: EndingSession, passivate: () => Promise<void>): Promise<void> {
  const late = Promise.withResolvers<never>();
  late.promise.catch(() => undefined);
  const step = session.interruptible(session.host.options.stopTimeoutMs, late.reject);
  try {
    await Promise.race([passivate(), late.promise]);
    session.publish({ type: "passivated" });
    session.code.passivated();
  } finally {
    step.done();
  }
}

/** Ends the activation after a failed passivation. @throws the error that kept its state from being saved */
async function passivationFailed(session: EndingSession, error: Error): Promise<void> {
  if (hasCode(error, "fenced")) {
    session.publish({ type: "fenced", cause: error });
    await session.drop(error.message);
    return;
  }
  const isRuntimeError = error instanceof RuntimeEnd;
  if (isRuntimeError) session.publish({ type: "crashed", cause: error });
  await session.drop(reasonOf(error));
  if (!isRuntimeError && !hasCode(error, "session_stopped")) throw error;
}
