/** Live sessions in threads of their own: one loops for ever, the others do not notice. */
import { startHost } from "../src/host/index.ts";
import { openSessions } from "../src/index.ts";

type Say = (who: string | number, text: string) => void;

/** Throws where a promise is broken. */
export async function liveSessions(store: string, say: Say): Promise<void> {
  await using sessions = await openSessions({ store, sweep: false });
  await using host = await startHost(sessions, {
    runtime: new URL("live-runtime.ts", import.meta.url),
    isolation: "session",
    turnTimeout: "3s",
  });
  const ids = ["live-1", "live-2", "live-3"];
  for (const id of ids) await host.ensure(id);
  say("host", `keeps ${ids.join(", ")} live, each in a thread of its own`);
  const lost = host.send("live-2", "loop for ever").then(
    () => "an answer",
    (error: Error) => error.message,
  );
  const [first, third] = [await host.send("live-1", "hello"), await host.send("live-3", "hello")];
  expect(first === 1 && third === 1, "another session's endless loop was noticed");
  say("host", "live-2 loops for ever; live-1 and live-3 answer");
  say("host", (await lost).split(";")[0] ?? "");
  expect((await host.send("live-2", "hello again")) === 1, "a killed session does not come back");
  say("host", "live-2 answers again, where it was");
  await host.close();
  const { state } = (await sessions.get("live-2")).info;
  expect(state === "inactive", `a session of a closed host is ${state}`);
  say("host", "is closed; its sessions sleep");
}

function expect(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(`broken promise: ${otherwise}`);
}
