/** Sessions of Genkit in the tests between frameworks. */
import { randomUUID } from "node:crypto";
import { genkitStore } from "../../../src/adapters/genkit.ts";
import type { Sessions } from "../../../src/index.ts";
import { dataUrl, plain, sample, type Exchange, type Participant } from "../participant.ts";

type Saved = NonNullable<Awaited<ReturnType<ReturnType<typeof genkitStore>["getSnapshot"]>>>;
type Messages = readonly object[];

const called = ({ id: ref, tool: name, input }: Exchange["call"] | (typeof sample.calls)[number]): object => ({
  toolRequest: { ref, name, input },
});

const responded = (
  { id: ref, tool: name }: { readonly id: string; readonly tool: string },
  output: unknown,
): object => ({
  toolResponse: { ref, name, output },
});

const storeOn = (sessions: Sessions): ReturnType<typeof genkitStore> =>
  genkitStore(sessions, { sessionOf: (sessionId) => sessionId });

async function append(sessions: Sessions, sessionId: string, added: Messages): Promise<void> {
  const store = storeOn(sessions);
  const before = await store.getSnapshot({ sessionId });
  const messages = [...(before?.state?.messages ?? []), ...added];
  const snapshot = {
    sessionId,
    parentId: before?.snapshotId,
    createdAt: new Date().toISOString(),
    state: { messages },
  };
  await store.saveSnapshot(randomUUID(), () => plain(snapshot) as unknown as Saved);
}

export const participant: Participant = {
  name: "Genkit",
  page: "genkit.md",
  format: "genkit",
  sessionOf: (id) => id,
  async begin(sessions, id) {
    const [found, failed] = sample.calls;
    await append(sessions, id, [
      { role: "system", content: [{ text: sample.system }] },
      { role: "user", content: [{ text: sample.question }, { media: { url: dataUrl(sample.picture) } }] },
      { role: "model", content: [{ reasoning: sample.reasoning }, called(found), called(failed)] },
      { role: "tool", content: [responded(found, found.result), responded(failed, failed.failure)] },
      { role: "model", content: [{ text: sample.answer }] },
    ]);
    await append(sessions, id, [
      { role: "user", content: [{ text: sample.thanks }] },
      { role: "model", content: [{ text: sample.welcome }] },
    ]);
  },
  async read(sessions, id) {
    const snapshot = await storeOn(sessions).getSnapshot({ sessionId: id });
    return plain(snapshot?.state?.messages ?? []);
  },
  async goOn(sessions, id, { question, call, result, answer }) {
    await append(sessions, id, [
      { role: "user", content: [{ text: question }] },
      { role: "model", content: [called(call)] },
      { role: "tool", content: [responded(call, result)] },
      { role: "model", content: [{ text: answer }] },
    ]);
  },
};
