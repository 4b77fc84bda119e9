import type { Attributes } from "@opentelemetry/api";
import { defined } from "../domain/values/defined.ts";
import { SessionError } from "../index.ts";

/** The kind of an error, from a short list: never its message. */
export function errorType(error: unknown): string {
  if (error instanceof SessionError) return error.code;
  return error instanceof Error ? error.name : "_OTHER";
}

export function agentOf(agent: string | undefined): Attributes {
  return defined({ "gen_ai.agent.name": agent });
}
