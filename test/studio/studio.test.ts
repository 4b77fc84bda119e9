/** The studio as a handler: its page, its links and its rights. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { openSessions, type KeyRight, type Sessions } from "../../src/index.ts";
import { loopbackOnly } from "../../src/studio/loopback.ts";
import { createServer } from "../../src/server/index.ts";
import { withStudio } from "../../src/studio/with-studio.ts";
import { createStudio } from "../../src/studio/index.ts";
import { studioOf, type Studio, type StudioOptions } from "../../src/studio/studio.ts";
import { builtPage } from "./built-page.ts";

const files = await builtPage();
const known = ["http://www.w3.org", "https://github.com"];
const origin = "http://127.0.0.1:4983";

async function open(t: { after(end: () => Promise<void>): void }): Promise<Sessions> {
  const sessions = await openSessions({ store: "memory:", sweep: false });
  t.after(async () => await sessions.close());
  await sessions.create({ id: "s" });
  return sessions;
}

function studioFor(sessions: Sessions, options: Omit<StudioOptions, "sessions"> = {}): Studio {
  return studioOf({ sessions, ...options }, files);
}

async function ask(studio: Pick<Studio, "fetch">, path: string, init: RequestInit = {}): Promise<Response> {
  return await studio.fetch(new Request(`${origin}${path}`, init));
}

/** Opens a link as the page does. */
async function exchanged(studio: Studio, link: string): Promise<Response> {
  const token = link.split("#token=")[1] ?? "";
  return await ask(studio, "/studio/exchange", { method: "POST", body: token });
}

async function keyFor(studio: Studio, right: KeyRight): Promise<Record<string, string>> {
  const { key } = (await (await exchanged(studio, studio.link(right))).json()) as { key: string };
  return { authorization: `Bearer ${key}` };
}

test("the page is one document for all its paths, with a policy that loads and calls its own origin alone", async (t) => {
  const studio = studioFor(await open(t));
  for (const path of ["/studio", "/studio/", "/studio/sessions/a%2Fb", "/studio/overview?since=7"]) {
    const response = await ask(studio, path);
    assert.equal(response.status, 200, path);
    assert.match(response.headers.get("content-security-policy") ?? "", /^default-src 'self';.*frame-ancestors 'none'/);
    const text = await response.text();
    assert.doesNotMatch(text, /<style|style=|\son\w+=|<script>|https?:/);
    for (const [, file = ""] of text.matchAll(/(?:src|href)="([^"]+)"/g))
      assert.equal((await ask(studio, file)).status, 200, file);
  }
  assert.equal((await ask(studio, "/studio/files/none.js")).status, 404);
  assert.equal((await ask(studio, "/elsewhere")).status, 404);
  assert.equal((await ask(studio, "/studio/", { method: "POST" })).status, 405);
  const { headers } = await ask(studio, "/studio/files/studio.js");
  const again = await ask(studio, "/studio/files/studio.js", {
    headers: { "if-none-match": headers.get("etag") ?? "" },
  });
  assert.equal(again.status, 304);
});

test("scripts and styles of the page are at most 100 kB, compressed, and name no other origin", () => {
  let bytes = 0;
  const named = new Set<string>();
  for (const file of files.values()) {
    bytes += gzipSync(file.bytes).length;
    for (const [address] of new TextDecoder().decode(file.bytes).matchAll(/https?:\/\/[\w.-]+/g)) named.add(address);
  }
  // The names of XML namespaces, and the address in an error of a library, are no requests.
  assert.deepEqual(
    [...named].filter((name) => !known.includes(name)),
    [],
  );
  assert(files.size >= 2 && bytes <= 100_000, `${bytes} bytes`);
});

test("a link opens the studio once, and its key has the right of the link", async (t) => {
  const sessions = await open(t);
  const studio = studioFor(sessions);
  const link = studio.link("read");
  const first = await exchanged(studio, link);
  assert.equal(first.status, 200);
  assert.equal(first.headers.get("cache-control"), "no-store");
  assert.equal((await exchanged(studio, link)).status, 403, "used twice");
  assert.equal((await ask(studio, "/studio/exchange", { method: "POST", body: "guess" })).status, 403);
  assert.equal((await ask(studio, "/studio/v1/sessions")).status, 401, "without a key");

  const { key } = (await first.json()) as { key: string };
  const headers = { authorization: `Bearer ${key}` };
  const { right, tenant } = (await (await ask(studio, "/studio/v1/key", { headers })).json()) as Record<string, string>;
  assert.deepEqual({ right, tenant }, { right: "read", tenant: "default" });
  assert.equal((await ask(studio, "/studio/v1/sessions/s", { headers })).status, 200);
});

test("the server refuses every change under the key of a read-only link", async (t) => {
  const sessions = await open(t);
  const studio = studioFor(sessions);
  const headers = { ...(await keyFor(studio, "read")), "content-type": "application/json" };
  const { version } = (await sessions.get("s")).info;
  const changes = [
    ["POST", "/cancel"],
    ["POST", "/end"],
    ["POST", "/archive"],
    ["POST", "/fork", "{}"],
    ["POST", "/recover"],
    ["DELETE", "/lease"],
    ["PUT", "/legal-hold", '{"reason":"r"}'],
    ["POST", "/approve", '{"token":"t","decisions":{}}'],
    ["POST", "/consult", '{"message":"m"}'],
    ["POST", "/events", '{"type":"app.x"}'],
    ["PATCH", "", '{"title":"t"}'],
    ["DELETE", ""],
  ] as const;
  for (const [method, path, body = "{}"] of changes) {
    const init = method === "DELETE" ? { method, headers } : { method, headers, body };
    assert.equal((await ask(studio, `/studio/v1/sessions/s${path}`, init)).status, 403, `${method} ${path}`);
  }
  for (const path of ["erase", "sweep", "doctor", "references"])
    assert.equal((await ask(studio, `/studio/v1/${path}`, { method: "POST", headers, body: "{}" })).status, 403, path);
  assert.equal((await sessions.get("s")).info.version, version, "nothing was written");
});

test("a studio behind the login of a program asks it for each request, and takes changes of its own page alone", async (t) => {
  const sessions = await open(t);
  const asked: string[] = [];
  const studio = studioFor(sessions, {
    path: "/admin/studio",
    allow: (request) => {
      asked.push(new URL(request.url).pathname);
      return request.headers.get("x-login") as KeyRight | null;
    },
  });
  const api = "/admin/studio/v1/sessions";
  assert.equal((await ask(studio, api)).status, 403);
  assert.equal((await ask(studio, api, { headers: { "x-login": "read" } })).status, 200);
  const fork = { method: "POST", body: "{}", headers: { "x-login": "admin", "content-type": "application/json" } };
  assert.equal((await ask(studio, `${api}/s/fork`, fork)).status, 403, "without the header of the page");
  const own = { ...fork, headers: { ...fork.headers, "x-perdure-studio": "1" } };
  assert.equal((await ask(studio, `${api}/s/fork`, own)).status, 201);
  const reader = { ...own, headers: { ...own.headers, "x-login": "read" } };
  assert.equal((await ask(studio, `${api}/s/fork`, reader)).status, 403);
  assert.deepEqual(new Set(asked), new Set([api, `${api}/s/fork`]));
  assert.match(await (await ask(studio, "/admin/studio")).text(), /data-api="\/admin\/studio" data-login="none"/);
});

test("a studio on the loopback refuses another name in Host", async (t) => {
  const guarded = loopbackOnly(studioFor(await open(t)));
  const statusFor = async (host: string): Promise<number> =>
    (await guarded.fetch(new Request(`${origin}/studio/`, { headers: { host } }))).status;
  for (const host of ["127.0.0.1:4983", "localhost:4983", "LOCALHOST", "[::1]:4983"])
    assert.equal(await statusFor(host), 200);
  for (const host of ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:4983", "10.0.0.1:4983"])
    assert.equal(await statusFor(host), 421, host);
});

test("a server has the page at /studio beside its own routes, and the page asks for a key of the store", async (t) => {
  const sessions = await open(t);
  const server = withStudio(createServer({ sessions }), files);
  t.after(async () => await server.stop());
  const get = async (path: string, headers: Record<string, string> = {}): Promise<Response> =>
    await server.fetch(new Request(`${origin}${path}`, { headers }));
  assert.match(await (await get("/studio/overview")).text(), /data-api="" data-login="key"/);
  assert.equal((await server.fetch(new Request(`${origin}/studio/exchange`, { method: "POST" }))).status, 405);
  assert.equal((await get("/healthz")).status, 200);
  assert.equal((await get("/v1/sessions")).status, 401);
  const { token } = await sessions.keys.create({ name: "me", right: "read" });
  assert.equal((await get("/v1/sessions", { authorization: `Bearer ${token}` })).status, 200);
});

test("wrong options of a studio fail at once", async (t) => {
  const sessions = await open(t);
  for (const path of ["", "studio", "/", "/studio/", "/a b", '/"'])
    assert.throws(() => createStudio({ sessions, path }), { code: "argument_invalid" }, path);
  assert.throws(() => createStudio({ sessions, pathh: "/x" } as never), { code: "argument_invalid" });
  assert.throws(() => studioFor(sessions).link("owner" as never), { code: "argument_invalid" });
});
