import { pathToFileURL } from "node:url";
import type { Value } from "../../domain/values/codec.ts";
import type { Model } from "../../sessions/options/model.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";
import type { LiveSession } from "./live-session.ts";

/**
 * The code of live sessions: a module's default export. What it remembers is the session's own log and metadata, and
 * `session.state`, which is kept when the session is put to sleep; variables of the module are shared by all sessions of a
 * thread, and gone with it. What it throws or rejects with, and what ends its thread, ends this life of the session: it
 * is started again from what is stored.
 */
export interface Runtime {
  /**
   * A message may be given to a session again, where its thread in a pool ended by another's doing: all that `onMessage` does
   * is done once by itself, as by what it writes under keys taken from the message. Otherwise only a message
   * that it had not begun is given to the next life, and one that it had begun fails as `runtime_failed`. @default false
   */
  readonly repeatable?: boolean;
  /** What `session.consult` asks where no other model is named. @default that of `openSessions`, in the host's own thread */
  readonly model?: Model;
  /** The session wakes up: open what it needs. */
  activate?(session: LiveSession): void | Promise<void>;
  /**
   * Answer a message: with a value, or with an async iterable whose parts are passed on as they come. The next message is
   * handled when this one's answer is whole.
   */
  onMessage(session: LiveSession, message: never): unknown;
  /** Nobody has spoken to it for its `idleTimeout`; it is put to sleep next. */
  onIdle?(session: LiveSession): void | Promise<void>;
  /** It is put to sleep: close what `activate` opened, and leave in `session.state` what the next life needs. */
  deactivate?(session: LiveSession): void | Promise<void>;
}

/** What a runtime may keep between two lives of a session: anything that can be stored. */
export type RuntimeState = Value | undefined;

/** The runtime that a module exports as its default. @throws SessionError `runtime_invalid` */
export async function loadRuntime(module: string | URL): Promise<Runtime> {
  const address = runtimeAddress(module);
  let loaded: { readonly default?: unknown };
  try {
    loaded = (await import(address)) as typeof loaded;
  } catch (cause) {
    throw new SessionError(
      "runtime_invalid",
      { module: address, reason: `it cannot be imported: ${reasonOf(cause)}` },
      { cause },
    );
  }
  return parseRuntime(loaded.default, address);
}

/** The address of a runtime's module: a URL, or a path from the working directory. */
export function runtimeAddress(module: string | URL): string {
  const text = String(module);
  return /^(file|data|node):/.test(text) ? text : pathToFileURL(text).href;
}

const hooks = ["activate", "onIdle", "deactivate"] as const;

/** @throws SessionError `runtime_invalid` */
export function parseRuntime(value: unknown, module: string): Runtime {
  const fail = (reason: string): SessionError => new SessionError("runtime_invalid", { module, reason });
  if (typeof value !== "object" || value === null)
    throw fail(`it exports ${formatValue(value)} as default, not a runtime`);
  const runtime = value as Partial<Runtime>;
  if (typeof runtime.onMessage !== "function") throw fail("it has no function onMessage");
  const wrong = hooks.find((hook) => !["undefined", "function"].includes(typeof runtime[hook]));
  if (wrong !== undefined) throw fail(`its ${wrong} is no function`);
  if (!["undefined", "boolean"].includes(typeof runtime.repeatable))
    throw fail("its repeatable is neither true nor false");
  return value as Runtime;
}

/** Why something failed, in one line. */
export function reasonOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message || cause.name : formatValue(cause);
  return text.slice(0, 1000);
}

/** What was thrown, as an error. */
export function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(reasonOf(cause));
}
