import type { Session } from "../../src/index.ts";

/** Wait until the store holds this text of the answer in progress. */
export async function untilStored(session: Session, text: string): Promise<void> {
  let stored = "";
  for await (const news of session.watch({ after: session.info.turn - 1 })) {
    if (news.type === "chunk") stored += "text" in news.chunk ? news.chunk.text : "";
    if (stored.includes(text)) return;
  }
}
