/** A viewer of a chat's answer in a process of its own. */
import { setTimeout as sleep } from "node:timers/promises";
import { chats } from "../src/adapters/ai.ts";
import { openSessions } from "../src/index.ts";
import { momentNow } from "./streams-child.ts";

export interface Viewing {
  readonly url: string;
  readonly chat: string;
}

export interface Viewed {
  /** From the chunk at its producer to the viewer, ms. */
  readonly lagsMs: readonly number[];
}

const { url, chat } = JSON.parse(process.argv[2] ?? "") as Viewing;
await using sessions = await openSessions({ store: url, sweep: false });
const store = chats(sessions);
let answer = await store.running(chat);
while (answer === null) {
  await sleep(20);
  answer = await store.running(chat);
}
process.send?.("reading");
const lagsMs: number[] = [];
for await (const chunk of answer) {
  const { delta } = chunk as { readonly delta?: string };
  if (delta !== undefined && Number(delta) > 0) lagsMs.push(momentNow() - Number(delta));
}
process.send?.({ lagsMs } satisfies Viewed);
process.disconnect();
