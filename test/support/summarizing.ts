/** Models, summarizers and turns for tests of summaries, marks and ratings. */
import assert from "node:assert/strict";
import { doctor } from "../../src/admin.ts";
import type { Model, ModelRequest, Session, SummaryRequest } from "../../src/index.ts";
import type { InMemory } from "./in-memory.ts";

/** A model that keeps each request, and answers with `answer <question>`. */
export function recording(): { model: Model; asked: ModelRequest[] } {
  const asked: ModelRequest[] = [];
  const model: Model = async function* (request) {
    asked.push(request);
    const isSummary = String(request.messages[0]?.content).startsWith("You write the memory");
    yield { type: "text", text: isSummary ? "a summary" : "an answer" };
    yield { type: "usage", usage: { inputTokens: 10, outputTokens: 1 } };
  };
  return { model, asked };
}

export function contents({ messages }: Pick<ModelRequest, "messages">): readonly unknown[] {
  return messages.map(({ content }) => content);
}

export function shownTo(request: ModelRequest | undefined): string {
  return JSON.stringify(request?.messages ?? []);
}

/** A summarizer that keeps each request and names the turns. */
export function naming(): { summarizer: (request: SummaryRequest) => Promise<string>; requests: SummaryRequest[] } {
  const requests: SummaryRequest[] = [];
  const summarizer = (request: SummaryRequest): Promise<string> => {
    requests.push(request);
    const words = request.turns.map(({ input }) => String(input[0]?.content));
    return Promise.resolve([request.earlier, ...words].filter((word) => word !== undefined).join(" "));
  };
  return { summarizer, requests };
}

export async function assertSound({ sessions }: Pick<InMemory, "sessions">): Promise<void> {
  const report = await doctor(sessions, { onFinding: (finding) => assert.fail(JSON.stringify(finding)) });
  assert.ok(report.complete);
}

export async function fill(session: Session, from: number, to: number): Promise<void> {
  for (let turn = from; turn <= to; turn++)
    await session.append({ input: `word${turn}`, output: `reply${turn}`, usage: { inputTokens: 1, outputTokens: 1 } });
}
