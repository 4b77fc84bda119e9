/** A server whose streams of events or news are read block by block, and which restarts at the same address. */
import assert from "node:assert/strict";
import { systemClock } from "../../src/clock.ts";
import { defined } from "../../src/domain/values/defined.ts";
import { createServer, listen, type Listening } from "../../src/server/index.ts";
import { sessionsOn, type Sessions } from "../../src/sessions/sessions.ts";
import { openMemory } from "../../src/store/memory.ts";

export interface FollowedServer extends AsyncDisposable {
  readonly sessions: Sessions;
  readonly url: string;
  readonly key: string;
  /** Stops the server, as for a new version, and starts it again at the same address. */
  restart(): Promise<void>;
}

export async function followedServer(): Promise<FollowedServer> {
  const sessions = sessionsOn(openMemory({ clock: systemClock }), { sweep: false });
  const { token: key } = await sessions.keys.create({ name: "test", right: "read" });
  const start = (port: number): Promise<Listening> => listen(createServer({ sessions }), { port });
  let listening = await start(0);
  return {
    sessions,
    url: listening.url,
    key,
    async restart() {
      await listening.close(0);
      listening = await start(Number(new URL(listening.url).port));
    },
    async [Symbol.asyncDispose]() {
      await listening.close(0);
      await sessions.close();
    },
  };
}

interface Block {
  readonly event: string;
  readonly id: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Opens one stream at this path. */
export async function follow(
  { url, key }: Pick<FollowedServer, "url" | "key">,
  path: string,
  lastId?: string,
): Promise<{ readonly next: () => Promise<Block>; readonly leave: () => Promise<void> }> {
  const response = await fetch(`${url}${path}`, {
    headers: {
      accept: "text/event-stream",
      authorization: `Bearer ${key}`,
      ...defined({ "last-event-id": lastId }),
    },
  });
  assert.equal(response.headers.get("content-type"), "text/event-stream");
  const reader = (response.body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return {
    async next() {
      while (!text.includes("\n\n")) text += (await reader.read()).value ?? assert.fail("it ended");
      const block = text.slice(0, text.indexOf("\n\n"));
      text = text.slice(text.indexOf("\n\n") + 2);
      const field = (name: string): string => new RegExp(`^${name}: ?(.*)$`, "m").exec(block)?.[1] ?? "";
      return { event: field("event"), id: field("id"), data: JSON.parse(field("data")) as Block["data"] };
    },
    leave: async () => await reader.cancel(),
  };
}
