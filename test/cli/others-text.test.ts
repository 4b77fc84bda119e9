/** What others wrote, on the terminal of whoever looks at it: it is shown, and steers nothing. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions, type Message, type Model } from "../../src/index.ts";
import { createNasty } from "../support/nasty-sessions.ts";
import { finish, setUp, type Workplace } from "./command-line.ts";

const noTerminal = spawnSync("script", ["--version"]).status === 0 ? false : "there is no `script` to give a terminal";

/** Sets the title, clears the screen, reverses what follows, hides, breaks the line. */
const evil = "\u001b]0;OWNED\u0007\u001b[2J\u009b31m\u202eright\u2066left\u061c\u200f\ufeff\u0085\ud800\r\nnext";

/** What the name of a model may hold of that. */
const evilName = "m\u202eright\u2066left\u061c\u200f\ufeff";

let context: Awaited<ReturnType<typeof setUp>>;
let place: Workplace;

before(async () => {
  context = await setUp(() => ({ kind: "answer", texts: [`said ${evil}`, "\ud83d", "\ude00"], usage: [1, 1] }));
  place = context.place;
  const failing: Model = async function* () {
    yield { type: "model", model: evilName };
    yield { type: "text", text: evil };
    throw new Error(evil);
  };
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  const call = { id: evil, function: { name: evil, arguments: evil } };
  const session = await sessions.create({ id: "evil", agent: "ceo", user: "ada", metadata: { [evil]: evil } });
  const output: Message[] = [
    { role: "assistant", content: evil, tool_calls: [call] },
    { role: "tool", tool_call_id: evil, content: evil },
  ];
  await session.append({ input: evil, output, model: evilName });
  await session.append({ input: evil.replaceAll(/[\r\n]/g, "") });
  await (await session.consult("q", { model: failing })).done.catch(() => undefined);
  await session.handOff("ceo", { note: evil });
  await session.setLegalHold(evil);
  await createNasty(sessions);
  await mkdir(join(place.folder, "import"));
  await writeFile(
    join(place.folder, "import", "bad.jsonl"),
    `${JSON.stringify({ id: evil, messages: [evil] })}\n{"${evil}`,
  );
});
after(async () => await context[Symbol.asyncDispose]());

/** The only sequences that Perdure itself sends: bold, the line of progress and the line editor's. */
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const own = /\u001b(?:\[(?:0?m|1m|22m|\d*G|0J|0K|2K|K|\d*[ABCD]|\?7[hl]|\?25[hl])|[78])/g;
const unsafe =
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffd]/u;

function assertSafe(shown: string, what: string, hasAnswer = what.startsWith("consult")): void {
  const rest = shown.replaceAll(own, "");
  const at = rest.search(unsafe);
  const around = JSON.stringify(rest.slice(Math.max(0, at - 60), at + 20));
  assert.equal(at, -1, `${what} sends U+${rest.charCodeAt(at).toString(16)} to the terminal: ${around}`);
  // An answer has its own lines.
  if (!hasAnswer) assert.doesNotMatch(rest, /^\s*next/m, `${what}: a line break of others begins no line`);
}

const looks: readonly (readonly string[])[] = [
  ["sessions", "show", "evil"],
  ["sessions", "show", "evil", "--json"],
  ["sessions", "list", "--limit", "1000"],
  ["sessions", "list", "--limit", "1000", "--json"],
  ["sessions", "remove", "evil"],
  ["sessions", "sweep", "--dry-run"],
  ["events", "--limit", "1000"],
  ["events", "--limit", "1000", "--json"],
  ["stats", "--by", "model"],
  ["stats", "--by", "model", "--json"],
  ["stats", "--by", "model", "--csv"],
  ["stats", "--by", "user", "--csv"],
  ["stats", "--by", "agent"],
  ["doctor"],
  ["doctor", "--json"],
  ["export"],
  ["export", "--format", "openai"],
  ["import", "import/bad.jsonl", "--store", "sqlite:imported.db"],
  ["import", "import/bad.jsonl", "--store", "sqlite:imported.db", "--json"],
  ["copy", "--from", "sqlite:perdure.db", "--to", "sqlite:copied.db"],
  ["erase", "--user", "ada", "--dry-run"],
  ["snapshot", "save", "evil"],
  ["snapshot", "list"],
  ["snapshot", "restore", "evil"],
  ["sessions", "legal-hold", "evil"],
  ["sessions", "archive", "evil"],
  ["backup", "create", "all.db"],
  ["backup", "restore", "import/bad.jsonl", "--store", "sqlite:restored.db"],
  ["erase", "--user", evilName],
  ["erase", "--user", "ada", "--verify", "import/bad.jsonl"],
  ["keys", "revoke", evilName],
  ["stats", "--html", `${evilName}.html`],
  ["sessions", "list", "--store", `sqlite:${evilName}/none.db`],
  ["consult", "ceo", "q"],
  ["consult", "ceo", "q", "--json"],
  ["sessions", "show", evil.replace("\ud800", "")],
];
for (const args of looks) {
  test(
    `${JSON.stringify(args.join(" ").slice(0, 60))} shows what others wrote and lets none of it steer the terminal`,
    { skip: noTerminal },
    async () => {
      const { stdout, stderr } = await finish(place.startOnTerminal(args));
      assert.notEqual(stdout, "", stderr);
      assertSafe(stdout, args.join(" "));
    },
  );
}

test(
  "export for people shows lines as lines, and lets none of them steer the terminal",
  { skip: noTerminal },
  async () => {
    const { stdout } = await finish(place.startOnTerminal(["export", "--format", "markdown"]));
    const rest = stdout.replaceAll(own, "");
    assert.equal(rest.search(unsafe), -1);
    assert.match(rest, /\\u001b\]0;OWNED/);
  },
);

test("earlier questions come back at the prompt, and let the terminal be", { skip: noTerminal }, async () => {
  const child = place.startOnTerminal(["chat", "ceo", "--session", "evil"]);
  const finished = finish(child);
  let shown = "";
  child.stdout?.on("data", (data: string) => (shown += data));
  const shows = async (sign: string, from = 0): Promise<void> => {
    while (!shown.slice(from).includes(sign)) {
      assert.equal(child.exitCode, null, shown);
      await sleep(20);
    }
  };
  await shows("> ");
  const prompted = shown.length;
  child.stdin?.write("\u001b[A\u001b[A");
  await shows("OWNED", prompted);
  child.stdin?.write("\u0005\u0015\u0004");
  await finished;
  assertSafe(shown.slice(0, prompted), "chat with the last turn", true);
  assertSafe(shown.slice(prompted), "chat");
  assert.match(shown.slice(prompted), /\\u001b\]0;OWNED/);
});

test("output to a pipe or a file is exact", async () => {
  const lines = (text: string): Record<string, unknown>[] =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const exported = await place.run(["export", "--format", "openai"]);
  const found = lines(exported.stdout).find(({ id }) => id === "evil") as { messages: Message[] };
  assert.equal(found.messages[0]?.content, evil);
  const shown = await place.run(["sessions", "show", "evil", "--json"]);
  const [info] = lines(shown.stdout) as [{ turns: { input: Message[] }[]; metadata: object }];
  assert.equal(info.turns[0]?.input[0]?.content, evil);
  assert.deepEqual(info.metadata, { [evil]: evil });
  assert.doesNotMatch(shown.stdout, unsafe, "in JSON it is escaped all the same");
  const { stdout: csv } = await place.run(["stats", "--by", "model", "--csv"]);
  assert.ok(csv.includes(evilName));
});
