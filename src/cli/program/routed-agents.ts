import type { Agent } from "../../index.ts";

/** True if there are several agents, and one has keywords or a description; else the session's own agent answers. */
export function isRouted(agents: Readonly<Record<string, Agent>> = {}): boolean {
  const all = Object.values(agents);
  return all.length > 1 && all.some(({ description, keywords }) => description !== undefined || keywords !== undefined);
}
