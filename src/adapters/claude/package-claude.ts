/** The package of the Claude Agent SDK, described by the function that is called. It is loaded at the first append. */
import { loadPeer } from "../peers/load-peer.ts";
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
  return await loadPeer<PackageClaude>(
    "@anthropic-ai/claude-agent-sdk",
    // @ts-ignore -- The package is a peer: its types may be absent.
    () => import("@anthropic-ai/claude-agent-sdk"),
    ["foldSessionSummary"],
  );
}
