/** The secret of devices on the command line: refused, rotated, named with backups, and given up. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openSessions } from "../../src/index.ts";
import { checkOf, secretId } from "../../src/sessions/core/keyed-hash.ts";
import { Workplace } from "./command-line.ts";

const [old, other] = ["the secret of the old days", "the secret of these days"];
const device = "0b6f8a52-5c1d-4a7e-9f3b-2d8e6c4a1f00";

/** A place whose store has two sessions of devices under the old secret. */
async function stocked(secret: string = old): Promise<Workplace> {
  const place = await Workplace.open();
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false, secret });
  for (const id of [device, crypto.randomUUID()]) await (await sessions.devices.open(id)).append({ input: "mine" });
  return place;
}

/** Starts a server, and stops it once it listens; what it wrote, and its exit code. */
async function served(
  place: Workplace,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number | null; log: string }> {
  const child = place.start(["serve", "--port", "0", ...args], { env });
  const closed = once(child, "close") as Promise<[number | null]>;
  let log = "";
  child.stderr?.on("data", (data: Buffer) => {
    const listened = log.includes("listens on");
    log += data.toString();
    // A second signal would end it at once.
    if (!listened && log.includes("listens on")) child.kill("SIGTERM");
  });
  const [code] = await closed;
  return { code, log };
}

const refusal =
  /2 sessions of devices would be lost: give the right secret.*PERDURE_SECRET_PREVIOUS.*\[secret_mismatch\]/;

test("a server with another secret is refused, and one that has the old secret as a previous one starts", async () => {
  await using place = await stocked();
  const refused = await served(place, [], { PERDURE_SECRET: other });
  assert.match(refused.log, refusal);
  assert.equal(refused.code, 1);
  const both = { PERDURE_SECRET: other, PERDURE_SECRET_PREVIOUS: `no secret of this store, ${old}` };
  assert.equal((await served(place, [], both)).code, 0);

  const result = await place.run(["doctor"], { env: both });
  assert.match(
    result.stderr,
    /\n2 devices or users are known under an earlier secret only: keep PERDURE_SECRET_PREVIOUS/,
  );
  assert.equal(result.code, 0);
  const sessions = await openSessions({ store: place.storeUrl, sweep: false, secret: other, previousSecrets: [old] });
  await sessions.devices.open(device);
  await sessions.close();
  assert.match((await place.run(["doctor"], { env: both })).stderr, /\n1 device or user is known under an earlier/);
});

test("the doctor says that no earlier secret is needed, and that a secret is not the one of the store", async () => {
  await using place = await stocked();
  const sound = await place.run(["doctor"], { env: { PERDURE_SECRET: old, PERDURE_SECRET_PREVIOUS: other } });
  assert.match(sound.stderr, /no device needs an earlier secret: PERDURE_SECRET_PREVIOUS is no longer needed\n$/);
  const wrong = await place.run(["doctor"], { env: { PERDURE_SECRET: other } });
  assert.match(wrong.stderr, /the secret in PERDURE_SECRET or .*perdure\.db\.secret is not the one of the devices/);
});

test("a backup names the secret to keep; a restored store says that it needs it, and is not served with a new one", async () => {
  await using place = await Workplace.open();
  assert.equal((await served(place)).code, 0);
  const secret = readFileSync(join(place.folder, "perdure.db.secret"), "utf8").trim();
  const sessions = await openSessions({ store: place.storeUrl, sweep: false, secret });
  for (const id of [device, crypto.randomUUID()]) await (await sessions.devices.open(id)).append({ input: "mine" });
  await sessions.close();
  const backup = await place.run(["backup", "create", "all.db"]);
  assert.match(backup.stderr, /the secret of its devices is not in it: keep .*perdure\.db\.secret, too\n$/);

  const at = ["--store", "sqlite:restored.db"];
  const restored = await place.run(["backup", "restore", "all.db", ...at]);
  assert.equal(restored.code, 0);
  assert.match(
    restored.stderr,
    /need the secret under which they were written: put it into PERDURE_SECRET or .*restored\.db\.secret/,
  );
  const refused = await served(place, at);
  assert.match(refused.log, refusal);
  assert.equal(refused.code, 1);
  assert.ok(!readdirSync(place.folder).includes("restored.db.secret"), "no new secret is made");
  assert.equal((await served(place, at, { PERDURE_SECRET: secret })).code, 0);

  const copied = await place.run(["copy", "--from", "sqlite:restored.db", "--to", "sqlite:copied.db"]);
  assert.match(copied.stderr, /put it into PERDURE_SECRET or .*copied\.db\.secret/);
});

test("a lost secret is given up by perdure secret reset, which says what is lost", async () => {
  await using place = await stocked();
  const reset = await place.run(["secret", "reset"]);
  assert.match(reset.stderr, /with another one than before, 2 sessions of devices cannot be reached\n$/);
  assert.equal((await served(place, [], { PERDURE_SECRET: other })).code, 0);
  assert.match((await served(place, [], { PERDURE_SECRET: old })).log, /\[secret_mismatch\]/);
  assert.equal((await place.run(["secret", "reset", "--store", "sqlite:none.db"])).code, 1);
});

test("an erasure under another secret is refused, and its receipt is verified under a previous one", async () => {
  await using place = await stocked();
  for (const args of [["--dry-run"], []]) {
    const refused = await place.run(["erase", "--user", "ada", ...args], { env: { PERDURE_SECRET: other } });
    assert.match(refused.stderr, refusal);
    assert.equal(refused.code, 1);
  }
  const { stdout } = await place.run(["erase", "--user", "ada"], {
    env: { PERDURE_SECRET: old },
    stdout: join(place.folder, "receipt.json"),
  });
  assert.equal(stdout, "");
  const env = { PERDURE_SECRET: other, PERDURE_SECRET_PREVIOUS: old };
  const verified = await place.run(["erase", "--user", "ada", "--verify", "receipt.json"], { env });
  assert.equal(verified.code, 0, verified.stderr);
});

test("a restore into a store of another secret says which one its devices need, and with it they find their sessions", async () => {
  await using place = await stocked();
  assert.equal((await place.run(["backup", "create", "all.db"])).code, 0);
  const target = ["--store", "sqlite:target.db"];
  const open = async (secret: string, previousSecrets: readonly string[] = []) =>
    await openSessions({ store: `sqlite:${join(place.folder, "target.db")}`, sweep: false, secret, previousSecrets });
  const mine = "7d2c9e14-3f6a-4b8d-8e5c-1a9b7f3d2e00";
  const first = await open(other);
  await (await first.devices.open(mine)).append({ input: "of the target" });
  await first.close();

  const env = { PERDURE_SECRET: other };
  const restored = await place.run(["backup", "restore", "all.db", ...target], { env });
  assert.equal(restored.code, 0, restored.stderr);
  const id = secretId(checkOf(old));
  assert.match(
    restored.stderr,
    new RegExp(
      `known under another secret than the one of this store: .*begins with ${id}\\).*PERDURE_SECRET_PREVIOUS`,
    ),
  );
  const both = { ...env, PERDURE_SECRET_PREVIOUS: old };
  const again = await place.run(["backup", "restore", "all.db", ...target, "--json"], { env: both });
  assert.equal((JSON.parse(again.stdout) as { otherSecret: string }).otherSecret, id);
  assert.doesNotMatch(again.stderr, /another secret/);

  // The cure is true, and the devices of the target lose nothing.
  const doctor = await place.run(["doctor", ...target], { env: both });
  assert.match(doctor.stderr, /\n2 devices or users are known under an earlier secret only/);
  await using sessions = await open(other, [old]);
  for (const [name, input] of [
    [device, "mine"],
    [mine, "of the target"],
  ] as const) {
    const session = await sessions.devices.open(name);
    const [turn] = await Array.fromAsync(session.turns());
    assert.equal(turn?.input[0]?.content, input);
  }
});
