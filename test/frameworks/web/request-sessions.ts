/** The session of a request in each framework: its cookie, its user, its id, and its errors. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { perdure as forExpress } from "../../../src/adapters/express.ts";
import { perdure as forFastify } from "../../../src/adapters/fastify.ts";
import { perdure as forHono } from "../../../src/adapters/hono.ts";
import { perdure as forNext } from "../../../src/adapters/next.ts";
import { openSessions, type Sessions } from "../../../src/index.ts";
import { createServer } from "../../../src/server/index.ts";
import { callStore, storeBefore } from "../../../src/store/calls/forwarding-store.ts";
import { openMemory } from "../../../src/store/memory.ts";
import { assertSound, Engines, enginesOfRun, placesOf } from "../../crash/engines.ts";
import { endsWithTest } from "../../support/ends-with-test.ts";
import { inMemory } from "../../support/in-memory.ts";
import { workerProgram } from "../worker-program.ts";
import {
  RequestBrowser,
  requestFrameworks,
  serveRequests,
  type RequestHandler,
  type RequestServer,
} from "./request-servers.ts";

const program = await workerProgram(join(import.meta.dirname, "request-worker.ts"));
const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

const secret = "a secret of the tests of middlewares";

/** Appends a turn, and answers with the session and its turns. */
const appends: RequestHandler = async (request, path) => {
  const session = await request.open();
  if (path !== "/look") await session.append({ input: path, output: "yes" });
  const inputs = (await Array.fromAsync(session.turns())).map(({ input }) => input[0]?.content);
  return { id: session.id, user: session.info.user, inputs };
};
interface Appended {
  readonly id: string;
  readonly user: string | null;
  readonly inputs: readonly string[];
}

async function appended(browser: RequestBrowser, url: string): Promise<Appended> {
  return (await browser.get(url)) as Appended;
}

for (const framework of requestFrameworks) {
  for (const name of enginesOfRun("SQLite"))
    test(`a browser gets a sealed cookie when its session is opened, and the session again with it: ${framework}, ${name}`, async () => {
      await using sessions = await openSessions({
        store: await (await engines.get(name)).fresh(),
        sweep: false,
        secret,
      });
      await using server = await serveRequests(framework, sessions, appends);
      const browser = new RequestBrowser();
      const first = await appended(browser, `${server.url}/one`);
      const attributes = (browser.set ?? "")
        .split("; ")
        .slice(1)
        .map((part) => part.toLowerCase());
      assert.deepEqual(attributes.filter((part) => !part.startsWith("expires=")).sort(), [
        "httponly",
        "max-age=34560000",
        "path=/",
        "samesite=lax",
        "secure",
      ]);
      assert.match(browser.cookie ?? "", /^__Host-perdure_device=[\w-]{36}\.[\w-]+$/);
      const second = await appended(browser, `${server.url}/two`);
      assert.deepEqual([second.id, second.inputs], [first.id, ["/one", "/two"]]);
      assert.equal(browser.set, undefined, "the cookie is given once");
      const other = await appended(new RequestBrowser(), `${server.url}/three`);
      assert.notEqual(other.id, first.id);
      await assertSound(sessions);
    });

  test(`the store is not asked before the session is used, and looking gives no cookie: ${framework}`, async () => {
    const store = openMemory();
    let calls = 0;
    const counted = storeBefore(store, (method, args) => {
      calls++;
      return callStore(store, method, args);
    });
    await using sessions = await openSessions({ store: counted, sweep: false, secret });
    // A heartbeat, and the check of the secret.
    await sessions.devices.find(randomUUID());
    await using server = await serveRequests(framework, sessions, async (request, path) => {
      if (path === "/unused") return request.device;
      if (path === "/open") return (await request.open()).id === (await request.open()).id;
      return (await request.find())?.id ?? "none";
    });
    const browser = new RequestBrowser();
    calls = 0;
    assert.equal(await browser.get(`${server.url}/unused`), null);
    assert.deepEqual([calls, browser.cookie], [0, undefined]);
    assert.equal(await browser.get(`${server.url}/find`), "none");
    assert.deepEqual([browser.cookie, await sessions.count()], [undefined, 0]);
    assert.equal(await browser.get(`${server.url}/open`), true);
    calls = 0;
    assert.match(String(await browser.get(`${server.url}/unused`)), /^[\w-]{36}$/);
    assert.equal(calls, 0);
    assert.notEqual(await browser.get(`${server.url}/find`), "none");
    assert.equal(await sessions.count(), 1);
  });

  test(`a cookie that this server has not sealed opens nothing: ${framework}`, async () => {
    await using place = inMemory({ secret });
    await using others = await openSessions({ store: "memory:", secret: "another secret of sixteen", sweep: false });
    await using server = await serveRequests(framework, place.sessions, appends);
    const browser = new RequestBrowser();
    const own = await appended(browser, `${server.url}/one`);
    const [name = "", sealed = ""] = (browser.cookie ?? "").split("=");
    const [device = "", seal = ""] = sealed.split(".");
    const hostile = [
      device,
      `${device}.`,
      `${device}.${seal}x`,
      `${device}.${seal.slice(1)}`,
      `${randomUUID()}.${seal}`,
      `${device.toUpperCase()}.${seal}`,
      `${device}.${seal}.${seal}`,
      `"${sealed}"`,
      others.devices.seal(device),
      "__proto__",
      "%F0%9F%99%82",
      "=",
      "",
      "x".repeat(4000),
    ];
    for (const value of hostile) {
      const stranger = new RequestBrowser();
      stranger.cookie = `${name}=${value}`;
      const found = await appended(stranger, `${server.url}/look`);
      assert.notEqual(found.id, own.id, value);
      assert.match(stranger.set ?? "", /^__Host-/, "it gets a cookie of its own");
    }
    const looking = new RequestBrowser();
    looking.cookie = `perdure_device=${sealed}; x${name}=${sealed}`;
    assert.notEqual((await appended(looking, `${server.url}/look`)).id, own.id, "a cookie of another name");
    // A cookie of an earlier path, or of another program, stands before.
    if (framework !== "Next.js") {
      const twice = new RequestBrowser();
      twice.cookie = `${name}=forged; ${name}=${sealed}`;
      assert.equal((await appended(twice, `${server.url}/look`)).id, own.id);
    }
  });

  test(`a cookie of an earlier secret is taken, and sealed again: ${framework}`, async () => {
    await using place = inMemory({ secret });
    const browser = new RequestBrowser();
    await using before = await serveRequests(framework, place.sessions, appends);
    const own = await appended(browser, `${before.url}/one`);
    const { cookie } = browser;
    const sessions = place.another({ secret: "a newer secret of the tests", previousSecrets: [secret] });
    await using server = await serveRequests(framework, sessions, appends);
    assert.equal((await appended(browser, `${server.url}/look`)).id, own.id);
    assert(browser.set !== undefined && browser.cookie !== cookie);
    assert.equal((await appended(browser, `${server.url}/look`)).id, own.id);
    assert.equal(browser.set, undefined);
  });

  test(`a conflict is a response with 409, and an error of the program is not hidden: ${framework}`, async () => {
    await using place = inMemory({ secret });
    await using server = await serveRequests(framework, place.sessions, async (request, path) => {
      const session = await request.open();
      if (path === "/error") throw new Error("a fault of the handler");
      if (path !== "/conflict") return null;
      await (await place.sessions.get(session.id)).append({ input: "Between", output: "yes" });
      await session.append({ input: "Hi", output: "Hello" });
      return null;
    });
    const browser = new RequestBrowser();
    const problem = (await browser.get(`${server.url}/conflict`, { "x-request-id": "request-7" })) as {
      readonly code: string;
      readonly instance: string;
    };
    assert.deepEqual([browser.status, problem.code, problem.instance], [409, "conflict", "request-7"]);
    assert.match(browser.headers.get("content-type") ?? "", /^application\/problem\+json\b/);
    assert.equal(browser.headers.get("x-request-id"), "request-7");
    assert(browser.set !== undefined, "the cookie of the session that was opened stays");
    const response = await fetch(`${server.url}/error`, { method: "POST" });
    assert.equal(response.status, 500);
    assert(!(await response.text()).includes("urn:perdure"));
  });

  test(`the events of a request carry its id, and a wrong id is replaced: ${framework}`, async () => {
    await using place = inMemory({ secret });
    await using server = await serveRequests(framework, place.sessions, async (request) => {
      const session = await request.open();
      await session.record({ type: "app.asked", data: {} });
      return session.id;
    });
    const browser = new RequestBrowser();
    const id = String(await browser.get(server.url, { "x-request-id": "request-7" }));
    await browser.get(server.url, { "x-request-id": "a b" });
    const replaced = browser.headers.get("x-request-id") ?? "";
    assert.match(replaced, /^[\w-]{36}$/);
    const events = await Array.fromAsync((await place.sessions.get(id)).events());
    assert.deepEqual(
      events.filter(({ type }) => type === "app.asked").map(({ correlation }) => correlation),
      ["request-7", replaced],
    );
  });

  test(`a guest who logs in keeps the session, on every device, and a guest never gets that of a user: ${framework}`, async () => {
    await using place = inMemory({ secret });
    await using server = await serveRequests(framework, place.sessions, appends, { hasUsers: true });
    const laptop = new RequestBrowser();
    const guest = await appended(laptop, `${server.url}/guest`);
    laptop.user = "ada";
    const user = await appended(laptop, `${server.url}/user`);
    assert.deepEqual([user.id, user.user, user.inputs], [guest.id, "ada", ["/guest", "/user"]]);
    const phone = new RequestBrowser();
    phone.user = "ada";
    assert.equal((await appended(phone, `${server.url}/look`)).id, guest.id);
    // Another user on the same browser.
    laptop.user = "bob";
    const bob = await appended(laptop, `${server.url}/bob`);
    assert.deepEqual([bob.user, bob.inputs], ["bob", ["/bob"]]);
    // Logged out.
    laptop.user = undefined;
    const out = await appended(laptop, `${server.url}/out`);
    assert.deepEqual([out.user, out.inputs], [null, ["/out"]]);
    phone.user = undefined;
    assert.deepEqual((await appended(phone, `${server.url}/look`)).inputs, []);
    laptop.user = "ada";
    const again = await appended(laptop, `${server.url}/look`);
    assert.deepEqual([again.id, again.inputs], [guest.id, ["/guest", "/user"]], "the session of the user continues");
  });
}

test("a guest's session may be the one that continues after the login", async () => {
  await using place = inMemory({ secret });
  await using server = await serveRequests("Hono", place.sessions, appends, { hasUsers: true, keep: "device" });
  const phone = new RequestBrowser();
  phone.user = "ada";
  const first = await appended(phone, `${server.url}/first`);
  const laptop = new RequestBrowser();
  const guest = await appended(laptop, `${server.url}/guest`);
  laptop.user = "ada";
  assert.deepEqual((await appended(laptop, `${server.url}/user`)).inputs, ["/guest", "/user"]);
  assert.equal((await place.sessions.get(first.id)).info.state, "ended");
  assert.equal((await appended(phone, `${server.url}/look`)).id, guest.id);
});

test("a browser is one device for the middleware and for the server of Perdure", async () => {
  await using place = inMemory({ secret });
  await using server = await serveRequests("Hono", place.sessions, appends);
  const browser = new RequestBrowser();
  await appended(browser, `${server.url}/one`);
  const ofPerdure = createServer({ sessions: place.sessions });
  const request = new Request("https://localhost/v1/chat/turns", { headers: { cookie: browser.cookie ?? "" } });
  const { items } = (await (await ofPerdure.fetch(request)).json()) as {
    readonly items: readonly { readonly input: readonly { readonly content: string }[] }[];
  };
  assert.deepEqual(items[0]?.input[0]?.content, "/one");
});

test("without HTTPS the cookie has no prefix", async () => {
  await using place = inMemory({ secret });
  for (const framework of requestFrameworks) {
    await using server = await serveRequests(framework, place.sessions, appends, { secureCookies: false });
    const browser = new RequestBrowser();
    const own = await appended(browser, `${server.url}/one`);
    assert.match(browser.set ?? "", /^perdure_device=/);
    assert(!/secure/i.test(browser.set ?? ""));
    assert.equal((await appended(browser, `${server.url}/look`)).id, own.id);
  }
});

test("options are checked before a request comes", async () => {
  await using place = inMemory({ secret });
  await using without = await openSessions({ store: "memory:", sweep: false });
  const all = [forHono, forExpress, forFastify, forNext] as ((sessions: Sessions, options?: object) => unknown)[];
  for (const perdure of all) {
    assert.throws(() => perdure(without), { code: "secret_missing" });
    assert.throws(() => perdure(place.sessions, { users: () => "ada" }), { code: "argument_invalid" });
    assert.throws(() => perdure(place.sessions, { user: "ada" }), { code: "argument_invalid" });
    assert.throws(() => perdure(place.sessions, { keep: "both" }), { code: "argument_invalid" });
    assert.throws(() => perdure(place.sessions, { secureCookies: "no" }), { code: "argument_invalid" });
  }
});

for (const name of enginesOfRun("SQLite"))
  test(`a server that is killed before any of its commits loses no turn that it has answered, and its browser goes on: ${name}`, async (context) => {
    const engine = await engines.get(name);
    const killedAfter = async (commits: number): Promise<boolean> => {
      const url = await engine.fresh();
      const killed = await worker(url, commits);
      const browser = new RequestBrowser();
      const answered: string[] = [];
      const steps = ["/one", "/two", "/three"];
      try {
        for (const step of steps) {
          await browser.get(killed.url + step);
          answered.push(step);
        }
      } catch {
        // The server is dead.
      }
      killed.kill();
      await using sessions = await openSessions({ store: url, sweep: false, secret });
      await using server = await serveRequests("Express", sessions, appends);
      const { inputs } = await appended(browser, `${server.url}/again`);
      assert.deepEqual(inputs.slice(0, answered.length), answered, `${commits} commits`);
      assert.equal(inputs.at(-1), "/again");
      assert(inputs.length <= answered.length + 2);
      await assertSound(sessions);
      return answered.length === steps.length;
    };
    const { first, step } = placesOf(context, name);
    for (let commits = 1 + first; !(await killedAfter(commits)); commits += step);
  });

/** A server of Express in a process of its own. */
async function worker(url: string, commits: number): Promise<RequestServer & { kill(): void }> {
  const child = endsWithTest(
    spawn(process.execPath, [program, url, secret, String(commits)], {
      stdio: ["pipe", "pipe", "inherit"],
    }),
  );
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  return {
    url: line,
    kill: () => void child.kill("SIGKILL"),
    [Symbol.asyncDispose]: async () => void child.kill("SIGKILL"),
  };
}
