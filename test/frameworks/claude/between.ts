/** Transcripts of the Claude Agent SDK in the tests between frameworks. */
import type { SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { randomUUID } from "node:crypto";
import { claudeStore } from "../../../src/adapters/claude.ts";
import { plain, sample, type Participant } from "../participant.ts";

const key = (sessionId: string): { projectKey: string; sessionId: string } => ({ projectKey: "shop", sessionId });

const line = (role: "user" | "assistant", content: unknown): SessionStoreEntry => ({
  type: role,
  uuid: randomUUID(),
  message: { role, content },
});

const { picture, file } = sample;
const source = ({ mediaType, data }: typeof picture | typeof file): object => ({
  type: "base64",
  media_type: mediaType,
  data,
});

export const participant: Participant = {
  name: "Claude Agent SDK",
  page: "claude.md",
  format: "anthropic",
  sessionOf: (id) => `claude/shop/${id}`,
  nameOf: (id) => (id.startsWith("claude/shop/") ? id.slice("claude/shop/".length) : id),
  async begin(sessions, id) {
    const [found, failed] = sample.calls;
    const calls = sample.calls.map(({ id: call, tool: name, input }) => ({ type: "tool_use", id: call, name, input }));
    await claudeStore(sessions).append(key(id), [
      line("user", [
        { type: "text", text: sample.question },
        { type: "image", source: source(picture) },
        { type: "document", title: file.name, source: source(file) },
      ]),
      line("assistant", [{ type: "thinking", thinking: sample.reasoning, signature: "s" }, ...calls]),
      line("user", [
        { type: "tool_result", tool_use_id: found.id, content: found.result },
        { type: "tool_result", tool_use_id: failed.id, content: failed.failure, is_error: true },
      ]),
      line("assistant", [{ type: "text", text: sample.answer }]),
      line("user", sample.thanks),
      line("assistant", [{ type: "text", text: sample.welcome }]),
    ]);
  },
  async read(sessions, id) {
    const lines = (await claudeStore(sessions).load(key(id))) ?? [];
    return plain(lines.map(({ message }) => message));
  },
  async goOn(sessions, id, { question, call, result, answer }) {
    const { id: called, tool: name, input } = call;
    await claudeStore(sessions).append(key(id), [
      line("user", question),
      line("assistant", [{ type: "tool_use", id: called, name, input }]),
      line("user", [{ type: "tool_result", tool_use_id: called, content: result }]),
      line("assistant", [{ type: "text", text: answer }]),
    ]);
  },
};
