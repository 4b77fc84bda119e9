import { pathToFileURL } from "node:url";
import type { Model } from "../../sessions/options/model.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";
import type { InvalidRuntime } from "../../errors/host-problems.ts";
import type { LiveSession } from "./live-session.ts";

/**
 * The code of live sessions: a module's default export. A session keeps its log, its metadata and `session.state`,
 * which is saved at passivation. Module variables are shared by all sessions of a thread, and end with it. When the
 * code throws or rejects, or its thread ends, this activation ends and the session restarts from its stored state.
 */
export interface Runtime {
  /**
   * Whether `onMessage` may run again on the same message, because all its effects are idempotent (for example, it
   * writes under keys taken from the message). If true, a message is delivered again when another session ended the
   * pool thread. If false, only a message that had not started is delivered again; one that had started fails with
   * `runtime_failed`.
   * @default false
   */
  readonly repeatable?: boolean;
  /**
   * Default model of `session.consult`.
   * @default the model of `openSessions`, if the code runs in the host's thread
   */
  readonly model?: Model;
  /** Called on activation: open what the session needs. */
  activate?(session: LiveSession): void | Promise<void>;
  /**
   * Answers a message with a value, or with an async iterable whose chunks are passed on as they arrive. The next
   * message is handled when this answer is complete.
   */
  onMessage(session: LiveSession, message: never): unknown;
  /** Called after `idleTimeout` without messages, before passivation. */
  onIdle?(session: LiveSession): void | Promise<void>;
  /** Called on passivation: close what `activate` opened, and keep in `session.state` what the next activation needs. */
  deactivate?(session: LiveSession): void | Promise<void>;
}

/**
 * Loads the runtime that a module exports as default.
 * @throws SessionError `runtime_invalid`
 */
export async function loadRuntime(module: string | URL): Promise<Runtime> {
  const address = runtimeAddress(module);
  let loaded: { readonly default?: unknown };
  try {
    loaded = (await import(address)) as typeof loaded;
  } catch (cause) {
    throw new SessionError(
      "runtime_invalid",
      { module: address, problem: "not_imported", reported: reasonOf(cause) },
      { cause },
    );
  }
  return parseRuntime(loaded.default, address);
}

/** The URL of a runtime's module, from a URL or a path relative to the working directory. */
export function runtimeAddress(module: string | URL): string {
  const text = String(module);
  return /^(file|data|node):/.test(text) ? text : pathToFileURL(text).href;
}

const hooks = ["activate", "onIdle", "deactivate"] as const;

/** @throws SessionError `runtime_invalid` */
export function parseRuntime(value: unknown, module: string): Runtime {
  const invalid = (details: Omit<InvalidRuntime, "module">): SessionError =>
    new SessionError("runtime_invalid", { module, ...details });
  if (typeof value !== "object" || value === null) throw invalid({ problem: "not_object", value: formatValue(value) });
  const runtime = value as Partial<Runtime>;
  if (typeof runtime.onMessage !== "function") throw invalid({ problem: "message_handler_missing" });
  const wrong = hooks.find((hook) => !["undefined", "function"].includes(typeof runtime[hook]));
  if (wrong !== undefined) throw invalid({ problem: "hook_invalid", hook: wrong });
  if (!["undefined", "boolean"].includes(typeof runtime.repeatable)) throw invalid({ problem: "repeatable_invalid" });
  return value as Runtime;
}

/** The reason of a failure, on one line. */
export function reasonOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message || cause.name : formatValue(cause);
  return text.slice(0, 1000);
}

/** A thrown value as an error. */
export function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(reasonOf(cause));
}
