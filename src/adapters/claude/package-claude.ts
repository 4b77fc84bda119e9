/** The package of the Claude Agent SDK, described by the function that is called. It is loaded at the first append. */
import { SessionError } from "../../index.ts";
import type { ClaudeEntry } from "./entries.ts";
import type { ClaudeSessionKey } from "./keys.ts";

/** The summary of a session, which the SDK makes of its lines. */
export interface ClaudeSummary {
  sessionId: string;
  /** When the store last wrote a line of the main transcript, epoch ms. */
  mtime: number;
  /** Owned by the SDK. */
  data: Record<string, unknown>;
}

interface PackageClaude {
  foldSessionSummary(
    this: void,
    before: ClaudeSummary | undefined,
    key: ClaudeSessionKey,
    entries: readonly ClaudeEntry[],
    options: { readonly mtime: number },
  ): ClaudeSummary;
}

/** @throws SessionError `argument_invalid` if the package is not installed, or has another form */
export async function packageClaude(): Promise<PackageClaude> {
  const missing = (cause?: unknown): SessionError =>
    new SessionError("argument_invalid", { name: "@anthropic-ai/claude-agent-sdk", expected: "package" }, { cause });
  let loaded: Partial<PackageClaude>;
  try {
    // @ts-ignore -- The package is a peer: its types may be absent.
    loaded = (await import("@anthropic-ai/claude-agent-sdk")) as Partial<PackageClaude>;
  } catch (cause) {
    throw missing(cause);
  }
  const { foldSessionSummary } = loaded;
  if (typeof foldSessionSummary !== "function") throw missing();
  return { foldSessionSummary };
}
