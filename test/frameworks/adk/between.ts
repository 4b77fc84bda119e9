/** Sessions of the ADK in the tests between frameworks. */
import { createEvent, type Event } from "@google/adk";
import { adkSessions } from "../../../src/adapters/adk.ts";
import type { Sessions } from "../../../src/index.ts";
import { plain, sample, type Participant } from "../participant.ts";

type Content = NonNullable<Event["content"]>;

const address = (sessionId: string): { appName: string; userId: string; sessionId: string } => ({
  appName: "shop",
  userId: "ada",
  sessionId,
});

const serviceOn = (sessions: Sessions): ReturnType<typeof adkSessions> =>
  adkSessions(sessions, { sessionOf: ({ sessionId }) => sessionId });

async function append(sessions: Sessions, id: string, contents: readonly Content[]): Promise<void> {
  const service = serviceOn(sessions);
  const session = (await service.getSession(address(id))) ?? (await service.createSession(address(id)));
  for (const content of contents)
    await service.appendEvent({ session, event: createEvent({ author: content.role ?? "user", content }) });
}

const { picture, file } = sample;

export const participant: Participant = {
  name: "Google ADK",
  page: "adk.md",
  format: "gemini",
  sessionOf: (id) => id,
  async begin(sessions, id) {
    const [found, failed] = sample.calls;
    await append(sessions, id, [
      {
        role: "user",
        parts: [
          { text: sample.question },
          { inlineData: { mimeType: picture.mediaType, data: picture.data } },
          { inlineData: { mimeType: file.mediaType, data: file.data, displayName: file.name } },
        ],
      },
      {
        role: "model",
        parts: [
          { text: sample.reasoning, thought: true },
          ...sample.calls.map(({ id: call, tool: name, input: args }) => ({ functionCall: { id: call, name, args } })),
        ],
      },
      {
        role: "user",
        parts: [
          { functionResponse: { id: found.id, name: found.tool, response: { output: found.result } } },
          { functionResponse: { id: failed.id, name: failed.tool, response: { error: failed.failure } } },
        ],
      },
      { role: "model", parts: [{ text: sample.answer }] },
      { role: "user", parts: [{ text: sample.thanks }] },
      { role: "model", parts: [{ text: sample.welcome }] },
    ]);
  },
  async read(sessions, id) {
    const session = await serviceOn(sessions).getSession(address(id));
    return plain((session?.events ?? []).map(({ content }) => content));
  },
  async goOn(sessions, id, { question, call, result, answer }) {
    const { id: called, tool: name, input } = call;
    await append(sessions, id, [
      { role: "user", parts: [{ text: question }] },
      { role: "model", parts: [{ functionCall: { id: called, name, args: { ...input } } }] },
      { role: "user", parts: [{ functionResponse: { id: called, name, response: { output: result } } }] },
      { role: "model", parts: [{ text: answer }] },
    ]);
  },
};
