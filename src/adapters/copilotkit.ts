/**
 * CopilotKit: a runner of its runtime whose threads are sessions. A run outlives its client, and is followed, replayed and stopped
 * in any process. The program brings the packages `@copilotkit/runtime` and `rxjs`.
 *
 * @module perdure/copilotkit
 */
export { CopilotRunner, copilotRunner, type CopilotRunnerOptions } from "./copilotkit/runner.ts";
export type {
  AgUiAgent,
  AgUiEvent,
  AgUiInput,
  AgUiMessage,
  ConnectRequest,
  EventObservable,
  RunRequest,
  StopRequest,
  ThreadRequest,
} from "./copilotkit/package-copilotkit.ts";
