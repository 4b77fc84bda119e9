/** A process that is killed while it commits: its acknowledged commits are stored, and no commit is stored by half. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Change } from "../../../domain/record/change.ts";
import { creationOf, sampleSplice, stepOf } from "../../samples.ts";
import { commitOne, keyOf, land, type Bench, type Check } from "../bench.ts";

/** A program that reads transactions from stdin, commits them one after another, and writes the number of each that landed. */
const programOf = (module: string): string => `
  import { stdin, stdout } from "node:process";
  import { text } from "node:stream/consumers";
  import open from ${JSON.stringify(module)};
  const store = await open();
  for (const [index, transaction] of JSON.parse(await text(stdin)).entries()) {
    const [{ status }] = await store.commit([transaction]);
    stdout.write(status === "ok" ? index + "\\n" : status + "\\n");
  }
`;

/** After so many acknowledged commits the process is killed, far from its end. */
const killedAfter = [1, 12, 40];
const transactionsMax = 400;

export function killedWriterCases(check: Check): void {
  check(
    "killed-writer-loses-nothing: what was acknowledged outlives SIGKILL, whole and without a lock",
    async (bench, context) => {
      const { module } = bench;
      if (module === undefined || !bench.store.capabilities.durable) {
        context.skip("the harness names no module that opens the store in another process");
        return;
      }
      for (const after of killedAfter) await killOne(bench, module, after);
    },
  );
}

/** Each transaction writes two sessions, which must not differ afterwards. */
async function killOne(bench: Bench, module: string, after: number): Promise<void> {
  const pair = [`one ${after}`, `other ${after}`].map((id) => creationOf(bench.record({ id })));
  for (const creation of pair) await land(bench.store, creation);
  const acknowledged = await killed(module, transactionsOf(pair), after);
  const store = await bench.openAnother();
  const keys = pair.map(({ key }) => key);
  const { sessions } = await store.load(keys.map((key) => ({ key, tails: [] })));
  const heads = sessions.map((session) => session?.record.heads["turns"] ?? 0);
  assert.equal(heads[0], heads[1], "both sessions of each transaction, or neither");
  assert.ok((heads[0] ?? 0) >= acknowledged, `${heads[0]} of ${acknowledged} acknowledged commits are stored`);
  for (const session of sessions) {
    const { record } = session ?? assert.fail();
    const last = record.heads["turns"] ?? 0;
    const range = { log: "turns", from: 1, to: last, order: "ascending", limit: last } as const;
    const entries = await store.read(keyOf(record), range);
    assert.deepEqual(
      entries.map(({ seq }) => seq),
      Array.from({ length: last }, (_, index) => index + 1),
      "no entry is missing",
    );
    const next = stepOf(record, { splices: [sampleSplice("turns", last + 1, ["after"])] });
    assert.deepEqual(await commitOne(store, next), { status: "ok" }, "another process writes at once");
  }
}

function transactionsOf(pair: readonly Change[]): readonly (readonly Change[])[] {
  let records = pair.map(({ record }) => record ?? assert.fail());
  return Array.from({ length: transactionsMax }, (_, index) => {
    const changes = records.map((record) => stepOf(record, { splices: [sampleSplice("turns", index + 1, [index])] }));
    records = changes.map(({ record }) => record ?? assert.fail());
    return changes;
  });
}

/** The number of acknowledged commits of a process that was killed after some of them. */
async function killed(module: string, transactions: readonly (readonly Change[])[], after: number): Promise<number> {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", programOf(module)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  // A killed process reads no more.
  child.stdin.on("error", () => undefined);
  child.stdin.end(JSON.stringify(transactions));
  let acknowledged = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    assert.equal(line, String(acknowledged), "each commit of the process lands");
    acknowledged++;
    if (acknowledged === after) child.kill("SIGKILL");
  }
  await ended;
  assert.ok(acknowledged >= after, "the process wrote until it was killed");
  return acknowledged;
}
