import type { Attributes } from "@opentelemetry/api";
import { SessionError, type SessionKey } from "../index.ts";

/** What a host publishes on the channel `perdure:host`, as far as it is told here. */
export interface HostNews {
  readonly type: string;
  readonly session: SessionKey;
  readonly agent?: string | undefined;
  readonly ms?: number;
  readonly mailbox?: number;
}

/** What went wrong, in one word of a short list: never its message. */
export function errorType(error: unknown): string {
  if (error instanceof SessionError) return error.code;
  return error instanceof Error ? error.name : "_OTHER";
}

export function agentOf(agent: string | undefined): Attributes {
  return agent === undefined ? {} : { "gen_ai.agent.name": agent };
}
