import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { mock, test } from "node:test";
import { Worker } from "node:worker_threads";
import type { Change, KeyClaim } from "../../../domain/record/change.ts";
import type { SessionRecord } from "../../../domain/record/record.ts";
import { creationOf, sampleRecord, sampleSplice, stepOf, type SampleEntry } from "../../../testing/samples.ts";
import { endsWithTest } from "../../../../test/support/ends-with-test.ts";
import { until } from "../../../../test/support/until.ts";
import { openSqlite } from "../open.ts";
import type { Outcome, Store } from "../../store.ts";

/** Enough for the thread. */
const many = 70;

/** A store in a file with many sessions, and what its thread was given. */
class Place implements AsyncDisposable {
  readonly file: string;
  readonly store: Store;
  /** The batches that the thread was given. */
  batches = 0;
  /** Called before the thread gets a batch. */
  beforeBatch: (() => unknown) | undefined;
  /** Called with the thread once it has a batch. */
  onBatch: ((thread: Worker) => unknown) | undefined;
  #records: SessionRecord[] = [];
  readonly #folder: string;

  private constructor(folder: string, file: string, store: Store) {
    this.#folder = folder;
    this.file = file;
    this.store = store;
  }

  /** Opens a store whose thread is ready. */
  static async open(): Promise<Place> {
    const folder = mkdtempSync(join(tmpdir(), "perdure-"));
    const file = join(folder, "perdure.db");
    const place = new Place(folder, file, await openSqlite({ url: `sqlite:${file}` }));
    const post = Object.getOwnPropertyDescriptor(Worker.prototype, "postMessage")?.value as Worker["postMessage"];
    mock.method(Worker.prototype, "postMessage", function (this: Worker, ...message: Parameters<typeof post>) {
      const isBatch = message[0] !== "close";
      if (isBatch) place.beforeBatch?.();
      post.apply(this, message);
      if (!isBatch) return;
      place.batches++;
      place.onBatch?.(this);
    });
    const creations = Array.from({ length: many }, (_, index) => creationOf(sampleRecord({ id: `s${index}` })));
    await place.commit(creations);
    while (place.batches === 0) await place.append(["to wake the thread"]);
    place.batches = 0;
    return place;
  }

  /** Steps that append these values to the turns of each session. */
  steps(values: readonly SampleEntry[], claims: readonly KeyClaim[] = []): Change[] {
    return this.#records.map((record) =>
      stepOf(record, { splices: [sampleSplice("turns", (record.heads["turns"] ?? 0) + 1, values)], claims }),
    );
  }

  /** A step of one session that puts these values in the place of so many turns at its end. */
  rewrite(index: number, count: number, values: readonly SampleEntry[]): Change {
    const record = this.#records[index];
    assert.ok(record);
    const from = (record.heads["turns"] ?? 0) + 1 - count;
    return stepOf(record, { splices: [sampleSplice("turns", from, values)] });
  }

  async commit(changes: readonly Change[]): Promise<readonly Outcome[]> {
    const outcomes = await this.store.commit(changes.map((change) => [change]));
    this.#records = changes.map(({ record }, index) => {
      const outcome = outcomes[index];
      const newest = outcome?.status === "conflict" ? outcome.current : record;
      assert.ok(newest);
      return newest;
    });
    return outcomes;
  }

  async append(values: readonly SampleEntry[]): Promise<readonly Outcome[]> {
    return await this.commit(this.steps(values));
  }

  /** Another connection, as another process has it. */
  other(): DatabaseSync {
    return new DatabaseSync(this.file);
  }

  /** The texts of the last turns of each session, as stored, and the version of its record. */
  stored(): { readonly version: number; readonly last: string; readonly turns: number }[] {
    const database = this.other();
    const rows = database
      .prepare(
        `select version, count(*) as turns, max(seq) as last,
          (select data from entries where session = no and log = 'turns' order by seq desc limit 1) as data
        from sessions join entries on session = no where log = 'turns' group by no order by no`,
      )
      .all();
    database.close();
    return rows.map(({ version, turns, last, data }) => {
      assert.equal(turns, last, "no gap");
      return { version: Number(version), last: String(data), turns: Number(turns) };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    mock.restoreAll();
    await this.store.close();
    rmSync(this.#folder, { recursive: true });
  }
}

const statuses = (outcomes: readonly Outcome[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { status } of outcomes) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};

test("the thread writes a batch of changes as the caller's thread does", async () => {
  await using place = await Place.open();
  const values = ["plain", "à côté, 日本語, 🎻", { key: "k", value: "with a key" }, "\ud800 alone"];
  const steps = place.steps(values);
  assert.deepEqual(statuses(await place.commit(steps)), { ok: many });
  assert.equal(place.batches, 1);
  const [step] = steps;
  assert.ok(step?.record);
  const { sessions } = await place.store.load([
    { key: step.key, tails: [{ log: "turns", last: values.length, bytesMax: 1e6 }] },
  ]);
  assert.deepEqual(sessions[0]?.record, step.record);
  assert.deepEqual(sessions[0]?.tails[0], step.splices[0]?.entries);
  for (const { version, last } of place.stored())
    assert.deepEqual([version, last], [step.record.version, '"\\ud800 alone"']);
  // A lone write knows what the thread wrote.
  const [next] = place.steps(["after it"]);
  assert.ok(next);
  assert.deepEqual(statuses(await place.store.commit([[next]])), { ok: 1 });
});

test("a record that another connection wrote is a conflict, and the other appends of its batch are written", async () => {
  await using place = await Place.open();
  const other = place.other();
  other.exec("update sessions set version = version + 5 where id in ('s3', 's66')");
  other.close();
  const outcomes = await place.append(["mine"]);
  assert.equal(place.batches, 1);
  assert.deepEqual(statuses(outcomes), { ok: many - 2, conflict: 2 });
  assert.deepEqual([outcomes[3]?.status, outcomes[66]?.status], ["conflict", "conflict"]);
  assert.equal(place.stored().filter(({ last }) => last === '"mine"').length, many - 2);
  assert.deepEqual(statuses(await place.append(["again"])), { ok: many });
});

test("an entry of a damaged file that is in the way is replaced", async () => {
  await using place = await Place.open();
  const other = place.other();
  other.exec(`
    insert into entries (session, log, seq, key, at, data)
    select session, log, seq + 1, null, 0, '"stray"' from entries
    where log = 'turns' and session in (select no from sessions where id in ('s5', 's69'))
      and seq = (select max(seq) from entries as e where e.session = entries.session and e.log = 'turns')`);
  other.close();
  assert.deepEqual(statuses(await place.append(["mine"])), { ok: many });
  assert.equal(place.batches, 1);
  assert.ok(place.stored().every(({ last }) => last === '"mine"'));
});

test("a lock of another connection is waited for", async () => {
  await using place = await Place.open();
  const other = place.other();
  other.exec("begin immediate");
  const appended = place.append(["mine"]);
  while (place.batches === 0) await new Promise(setImmediate);
  other.exec("commit");
  other.close();
  assert.deepEqual(statuses(await appended), { ok: many });
});

test("news note the appends of a batch, also where the subscription begins behind the look for it", async () => {
  await using place = await Place.open();
  const other = place.other();
  const subscribe = other.prepare(`
    insert into news_subscriptions (tenant, id, expires_at, deleted, mark, marked_at)
    values ('default', 'subscription', ${Number.MAX_SAFE_INTEGER}, 0, 0, 0)`);
  place.beforeBatch = () => subscribe.run();
  const noted = (): unknown => other.prepare("select count(*) as count from news").get()?.["count"];
  assert.deepEqual(statuses(await place.append(["mine"])), { ok: many });
  assert.deepEqual([place.batches, noted()], [1, many]);
  await place.append(["again"]);
  assert.deepEqual([place.batches, noted()], [1, 2 * many]);
  other.close();
});

test("a log that is cut or rewritten in a batch ends where its change says", async () => {
  await using place = await Place.open();
  await place.append(["one", "two", "three"]);
  const before = place.stored();
  const steps = place.steps(["mine"]);
  const changes = [place.rewrite(0, 2, []), place.rewrite(1, 3, ["instead"]), ...steps.slice(2)];
  assert.deepEqual(statuses(await place.commit(changes)), { ok: many });
  assert.equal(place.batches, 2);
  const after = place.stored();
  const turns = after.map(({ turns: count }, index) => count - (before[index]?.turns ?? 0));
  assert.deepEqual(turns, [-2, -2, ...steps.slice(2).map(() => 1)]);
  assert.deepEqual([after[0]?.last, after[1]?.last, after[2]?.last], ['"one"', '"instead"', '"mine"']);
});

test("a key that is there is a duplicate, with its entry, and the other keys of the batch are written", async () => {
  await using place = await Place.open();
  const keyed = (key: string): Change[] => place.steps([{ key, value: key }], [{ log: "turns", key }]);
  const first = keyed("k");
  assert.deepEqual(statuses(await place.commit(first)), { ok: many });
  assert.equal(place.batches, 1);
  const again = [...keyed("k").slice(0, 2), ...keyed("l").slice(2)];
  const outcomes = await place.store.commit(again.map((change) => [change]));
  assert.deepEqual(statuses(outcomes), { ok: many - 2, duplicate: 2 });
  assert.deepEqual(outcomes[0], { status: "duplicate", entry: first[0]?.splices[0]?.entries[0] });
  assert.equal(place.stored().filter(({ last }) => last === '"l"').length, many - 2);
});

test("a write of another kind waits for the batch of the thread, and the thread for that write", async () => {
  await using place = await Place.open();
  const kept = creationOf(sampleRecord({ id: "another" }));
  let following: Promise<readonly Outcome[]> | undefined;
  place.onBatch = () => {
    place.onBatch = undefined;
    following = place.store.commit([[kept]]);
  };
  assert.deepEqual(statuses(await place.append(["mine"])), { ok: many });
  assert.deepEqual(statuses((await following) ?? []), { ok: 1 });
  assert.deepEqual(statuses(await place.append(["again"])), { ok: many });
  assert.equal(place.batches, 2);
});

test("where the thread ends before it answers, the outcome is unknown, and the store continues without it", async () => {
  for (const isWritten of [false, true]) {
    await using place = await Place.open();
    const steps = place.steps(["mine"]);
    const landed = (): boolean => place.stored().every(({ last }) => last === '"mine"');
    const lock = place.other();
    if (!isWritten) lock.exec("begin immediate");
    place.onBatch = (thread) => {
      thread.removeAllListeners("message");
      void (isWritten ? until(landed) : until(() => true)).then(() => thread.terminate());
    };
    await assert.rejects(place.store.commit(steps.map((step) => [step])), { code: "store_unavailable" });
    lock.close();
    assert.equal(landed(), isWritten);
    assert.deepEqual(statuses(await place.commit(steps)), isWritten ? { conflict: many } : { ok: many });
    assert.deepEqual(statuses(await place.append(["again"])), { ok: many });
    assert.equal(place.batches, 1);
  }
});

test("a store that is closed with a batch in its thread writes it first", async () => {
  await using place = await Place.open();
  const appended = place.append(["mine"]);
  assert.equal(place.batches, 1);
  await place.store.close();
  assert.deepEqual(statuses(await appended), { ok: many });
  assert.equal(existsSync(`${place.file}-wal`), false, "the last connection removes the write-ahead log");
  assert.ok(place.stored().every(({ last }) => last === '"mine"'));
});

test("a program that does not close its store ends, before the thread is ready and after it has written", async () => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-"));
  try {
    const library = JSON.stringify(new URL("../../../index.ts", import.meta.url).href);
    for (const rounds of [2, 20]) {
      const store = JSON.stringify(`sqlite:${join(folder, `${rounds}.db`)}`);
      const program = `
        const { openSessions } = await import(${library});
        const sessions = await openSessions({ store: ${store}, sweep: false });
        const all = await Promise.all(Array.from({ length: ${many} }, () => sessions.create()));
        for (let round = 0; round < ${rounds}; round++) {
          await Promise.all(all.map((session) => session.append({ input: "go on" })));
          if (round > 2) await new Promise((resolve) => setTimeout(resolve, 10));
        }`;
      const child = endsWithTest(
        spawn(process.execPath, ["--input-type=module", "--eval", program], { stdio: "inherit" }),
      );
      assert.deepEqual(await once(child, "exit"), [0, null]);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
