/** `perdure mcp` as a client starts it: over stdin and stdout, and over HTTP. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import type { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { openSessions, type Sessions } from "../../../src/index.ts";
import { endsWithTest } from "../../support/ends-with-test.ts";
import { programOf } from "../../support/programs.ts";
import { startModelServer, type ModelServer } from "../../support/model-server.ts";
import { call, clientOf, connected, eras, problem } from "./serving.ts";

const flags = ["--import", join(import.meta.dirname, "resolve.ts"), programOf("src/cli/main.ts"), "mcp"];

interface Place {
  readonly store: string;
  readonly env: Record<string, string>;
  readonly model: ModelServer;
}

async function placeOf(context: TestContext): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), "perdure-mcp-"));
  const model = await startModelServer(() => ({ kind: "answer", texts: ["An ", "answer."] }));
  context.after(async () => {
    await model[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });
  const env = { ...process.env, OPENAI_BASE_URL: model.baseURL, PERDURE_MODEL: "m" } as Record<string, string>;
  return { store: `sqlite:${join(folder, "chat.db")}`, env, model };
}

async function overStdio(context: TestContext, client: Client, { store, env }: Place): Promise<string[]> {
  context.after(async () => await client.close());
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [...flags, "--store", store],
    env,
    stderr: "pipe",
  });
  const said: string[] = [];
  transport.stderr?.on("data", (data) => said.push(String(data)));
  await client.connect(transport);
  return said;
}

async function openAt({ store }: Place): Promise<Sessions> {
  return await openSessions({ store, sweep: false });
}

for (const era of eras) {
  test(`a client of ${era} over stdio asks the model, and hears of the changes that another program makes`, async (context) => {
    const place = await placeOf(context);
    const client = clientOf({ era });
    const said = await overStdio(context, client, place);
    assert.equal((await client.listTools()).tools.length, 12);
    const pieces: string[] = [];
    const asked = { session: "s", key: "k", message: "Hi", create: { agent: "ceo" } };
    const answer = await client.callTool(
      { name: "session_consult", arguments: asked },
      { onprogress: ({ message }) => void pieces.push(message ?? "") },
    );
    assert.deepEqual(answer.content, [{ type: "text", text: "An answer." }]);
    // The client drops the progress that comes together with the result.
    assert("An answer.".startsWith(pieces.join("")), pieces.join(""));
    assert.equal((await problem(client, "session_show", { session: "none" })).code, "session_not_found");
    await using sessions = await openAt(place);
    const session = await sessions.get("s");
    const turns = await Array.fromAsync(session.turns());
    assert.deepEqual(
      turns.map(({ key, status }) => [key, status]),
      [["k", "done"]],
    );
    const uri = "perdure://session/s";
    const heard = Promise.withResolvers<string>();
    client.setNotificationHandler("notifications/resources/updated", ({ params }) => heard.resolve(params.uri));
    if (era === "2026") await client.listen({ resourceSubscriptions: [uri] });
    else await client.subscribeResource({ uri });
    await sessions.create({ id: "another" });
    await session.append({ input: "Hi" });
    assert.equal(await heard.promise, uri);
    assert.deepEqual(said, []);
  });
}

test("a question over stdio that is cancelled stops the model, and keeps what had arrived", async (context) => {
  const place = await placeOf(context);
  await using model = await startModelServer(() => ({ kind: "hang", texts: ["Half "] }));
  const client = clientOf();
  await overStdio(context, client, { ...place, env: { ...place.env, OPENAI_BASE_URL: model.baseURL } });
  const stop = new AbortController();
  const asked = client.callTool(
    { name: "session_consult", arguments: { session: "s", key: "k", message: "Hi", create: {} } },
    { signal: stop.signal, onprogress: () => stop.abort() },
  );
  await assert.rejects(asked);
  await using sessions = await openAt(place);
  const session = await sessions.get("s");
  const answer = await session.running();
  await answer?.done.catch(() => undefined);
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual([turn?.status, turn?.output[0]?.content], ["interrupted", "Half "]);
  await client.close();
});

test("perdure mcp over HTTP asks for keys, answers at its path alone, and stops with its signal", async (context) => {
  const place = await placeOf(context);
  await using sessions = await openAt(place);
  const { token } = await sessions.keys.create({ name: "test" });
  const child = endsWithTest(
    spawn(process.execPath, [...flags, "--store", place.store, "--http", ":0", "--keys"], {
      env: place.env,
      stdio: ["ignore", "ignore", "pipe"],
    }),
  );
  const url = await new Promise<URL>((resolve) =>
    createInterface({ input: child.stderr }).on("line", (line) => {
      const [, found] = /serves MCP on (\S+)/.exec(line) ?? [];
      if (found !== undefined) resolve(new URL(found));
    }),
  );
  await assert.rejects(connected(url), /401|Unauthorized/i);
  assert.equal((await fetch(new URL("/", url))).status, 404);
  const client = await connected(url, { key: token });
  const asked = { session: "s", key: "k", message: "Hi", create: { agent: "ceo" } };
  assert.equal((await call(client, "session_consult", asked)).text, "An answer.");
  await client.close();
  child.kill("SIGTERM");
  assert.deepEqual(await once(child, "exit"), [0, null]);
});

test("perdure mcp refuses to listen to other machines without keys, and options that stdio does not have", async (context) => {
  const place = await placeOf(context);
  const run = async (...args: readonly string[]): Promise<readonly [number | null, string]> => {
    const child = endsWithTest(
      spawn(process.execPath, [...flags, "--store", place.store, ...args], {
        env: place.env,
        stdio: ["ignore", "ignore", "pipe"],
      }),
    );
    let said = "";
    child.stderr.on("data", (data) => (said += String(data)));
    const [code] = (await once(child, "close")) as [number | null];
    return [code, said];
  };
  const refused = [
    [["--http", "0.0.0.0:0"], /--keys/],
    [["--keys"], /--http/],
  ] as const;
  for (const [args, said] of refused) {
    const [code, text] = await run(...args);
    assert.equal(code, 2, text);
    assert.match(text, said);
  }
});
