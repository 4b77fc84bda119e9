/** The packages `@copilotkit/runtime`, `@ag-ui/client` and `rxjs`, described by the members that are used. */
import { loadPeer } from "../peers/load-peer.ts";

/** An event of AG-UI: other fields depend on the type. */
export interface AgUiEvent {
  readonly type: string;
}

/** A message of AG-UI: other fields depend on the role. */
export interface AgUiMessage {
  readonly id: string;
  readonly role: string;
}

/** The input of a run; other fields go to the agent as they are. */
export interface AgUiInput {
  readonly threadId: string;
  readonly runId: string;
  readonly messages: readonly AgUiMessage[];
}

/** An agent of AG-UI. */
export interface AgUiAgent {
  agentId?: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- agents differ in the input and the subscribers that they take
  runAgent(input: any, subscriber: any): Promise<unknown>;
  abortRun(): void;
  detachActiveRun?(): Promise<void>;
}

/** A run to begin. */
export interface RunRequest {
  readonly threadId: string;
  readonly agent: AgUiAgent;
  readonly input: AgUiInput;
  /** The messages that are new with this run. @default those of the input behind the last one that is stored */
  readonly persistedInputMessages?: readonly AgUiMessage[];
}

/** A thread. */
export interface ThreadRequest {
  readonly threadId: string;
}

/** A thread to follow. */
export interface ConnectRequest extends ThreadRequest {}

/** A run to stop. */
export interface StopRequest extends ThreadRequest {
  /** Only this run, and no newer one of the thread. @default the one that is in progress */
  readonly runId?: string;
}

/** An `Observable` of rxjs that emits events of AG-UI. */
export type EventObservable = any; // oxlint-disable-line typescript/no-explicit-any -- the types of rxjs may be absent

/** The receiver of the events of a run. */
export interface EventSink {
  next(event: AgUiEvent): void;
  error(error: unknown): void;
  complete(): void;
}

/** A subject that repeats all of its events for each subscriber. */
export interface EventSubject extends EventSink {
  asObservable(): EventObservable;
}

/** The classes of rxjs. */
export interface PackageRxjs {
  readonly Observable: new (subscribe: (sink: EventSink) => () => void) => EventObservable;
  readonly ReplaySubject: new () => EventSubject;
}

/** @throws SessionError `argument_invalid` if the package is not installed, or has another form */
export async function packageRxjs(): Promise<PackageRxjs> {
  return await loadPeer<PackageRxjs>(
    "rxjs",
    // @ts-ignore -- The package is a peer: its types may be absent.
    () => import("rxjs"),
    ["Observable", "ReplaySubject"],
  );
}
