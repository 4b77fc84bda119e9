/** Histories by chance, in which the test knows the speaker of each turn: an erasure leaves no word of its user. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { erase, removeSession, sweep } from "../../src/admin.ts";
import { SessionError, type Session, type SessionInfo, type SessionSnapshot } from "../../src/index.ts";
import { seededChanceOf } from "../support/chance.ts";
import { inMemory, type InMemory } from "../support/in-memory.ts";
import { rounds } from "../support/rounds.ts";

const day = 86_400_000;
const users = ["ada", "bob", "carol"] as const;
const devices = [1, 2, 3].map((number) => `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`);

/** A device between two users: its words are those of the first user that claims it. */
interface Guest {
  name: string;
  /** Counts the times that it was a guest. */
  time: number;
  user: string | null;
}

class History {
  readonly #here: InMemory;
  readonly #chance: () => number;
  readonly #guests: Guest[] = [];
  /** The user of the words of each guest. */
  readonly #claimedBy = new Map<string, string>();
  readonly #snapshots: SessionSnapshot[] = [];
  readonly steps: string[] = [];
  #words = 0;
  #ids = 0;

  constructor(here: InMemory, chance: () => number) {
    this.#here = here;
    this.#chance = chance;
  }

  async begin(): Promise<void> {
    for (const device of devices) {
      const { id: name } = await this.#here.sessions.devices.open(device);
      this.#guests.push({ name, time: 0, user: null });
    }
  }

  /** One step by chance. The refusals of Perdure are steps as well. */
  async step(): Promise<void> {
    const acts = [
      ...[1, 2, 3, 4].map(() => () => this.#speak()),
      ...[1, 2].map(() => () => this.#claim()),
      ...[1, 2].map(() => () => this.#fork()),
      () => this.#link(),
      () => this.#unlink(),
      () => this.#create(),
      () => this.#reassign(),
      () => this.#truncate(),
      () => this.#remove(),
      () => this.#archive(),
      () => this.#takeSnapshot(),
      () => this.#restore(),
      () => this.#wait(),
      () => this.#reset(),
    ];
    try {
      this.steps.push(await this.#oneOf(acts)());
    } catch (error) {
      if (!(error instanceof SessionError) || error.code === "internal") throw error;
      this.steps.push(`refused: ${error.message}`);
    }
    await this.#noteClaims();
  }

  /** Each device ends with a user. */
  async claimAll(): Promise<void> {
    for (const [index, { user }] of this.#guests.entries()) {
      if (user !== null) continue;
      const claimed = this.#here.sessions.devices.claim(devices[index] ?? "", this.#oneOf(users), { keep: "user" });
      // The claim holds also where the session of the user is archived, so that it cannot be opened.
      await claimed.catch(() => undefined);
    }
    await this.#noteClaims();
  }

  /** The sessions that hold a word of the user. */
  async holding(user: string): Promise<string[]> {
    const found: string[] = [];
    for (const { id } of await this.#list()) {
      const turns = JSON.stringify(await Array.fromAsync((await this.#here.sessions.get(id)).turns()));
      const speakers = [...turns.matchAll(/word \d+ of ([\w ]+)"/g)].map(([, speaker = ""]) => speaker);
      if (speakers.some((speaker) => (this.#claimedBy.get(speaker) ?? speaker) === user)) found.push(id);
    }
    return found;
  }

  #oneOf<T>(items: readonly T[]): T {
    return items[Math.floor(this.#chance() * items.length)] as T;
  }

  async #list(): Promise<readonly SessionInfo[]> {
    return (await this.#here.sessions.list({ limit: 1000 })).items;
  }

  async #some(): Promise<Session> {
    const all = await this.#list();
    return all.length === 0 ? await this.#here.sessions.create() : await this.#here.sessions.get(this.#oneOf(all).id);
  }

  async #say(session: Session, speaker: string): Promise<void> {
    for (let left = this.#chance() < 0.5 ? 1 : 2; left > 0; left--)
      await session.append({ input: `word ${++this.#words} of ${speaker}` });
  }

  /** A user that owns a device now owns its earlier turns; a device that lost its user is a guest again. */
  async #noteClaims(): Promise<void> {
    for (const [index, guest] of this.#guests.entries()) {
      let owner: string | null = null;
      for (const user of users) {
        const { items: owned } = await this.#here.sessions.devices.list(user);
        if (owned.some(({ id }) => id === guest.name)) owner = user;
      }
      if (guest.user === null && owner !== null) this.#claimedBy.set(`guest ${index} at ${guest.time}`, owner);
      if (guest.user !== null && owner === null) guest.time++;
      guest.user = owner;
    }
  }

  async #speak(): Promise<string> {
    const index = Math.floor(this.#chance() * devices.length);
    const session = await this.#here.sessions.devices.open(devices[index] ?? "");
    const speaker = session.info.user ?? `guest ${index} at ${this.#guests[index]?.time}`;
    await this.#say(session, speaker);
    return `${speaker} speaks in ${session.id}`;
  }

  async #claim(): Promise<string> {
    const [device, user] = [this.#oneOf(devices), this.#oneOf(users)];
    await this.#here.sessions.devices.claim(device, user, { keep: this.#oneOf(["user", "device", "both"]) });
    return `${user} claims ${device}`;
  }

  async #link(): Promise<string> {
    const index = Math.floor(this.#chance() * devices.length);
    const [device = "", other = ""] = [devices[index], devices[(index + 1) % devices.length]];
    await this.#here.sessions.devices.link(device, (await this.#here.sessions.devices.linkCode(other)).code);
    return `${device} shares with ${other}`;
  }

  async #unlink(): Promise<string> {
    const device = this.#oneOf(devices);
    return `${device} unlinks: ${await this.#here.sessions.devices.unlink(device)}`;
  }

  async #create(): Promise<string> {
    const user = this.#oneOf([...users, undefined]);
    const session = await this.#here.sessions.create({
      id: `s${++this.#ids}`,
      ...(user === undefined ? {} : { user }),
    });
    await this.#say(session, user ?? "none");
    return `${session.id} is created for ${user}`;
  }

  async #reassign(): Promise<string> {
    const session = await this.#some();
    const user = this.#oneOf([...users, null]);
    await session.update({ user });
    return `${session.id} is given to ${user}`;
  }

  async #fork(): Promise<string> {
    const session = await this.#some();
    const at = 1 + Math.floor(this.#chance() * session.info.turn);
    const fork = await session.fork({ at, as: `f${++this.#ids}` });
    if (this.#chance() < 0.4) return `${session.id} is forked at ${at} as ${fork.id}`;
    const user = this.#oneOf([...users, null]);
    await fork.update({ user });
    if (user !== null) await this.#say(fork, user);
    return `${session.id} is forked at ${at} as ${fork.id} for ${user}`;
  }

  async #truncate(): Promise<string> {
    const session = await this.#some();
    const after = Math.floor(this.#chance() * (session.info.turn + 1));
    await session.truncate(after);
    return `${session.id} is truncated after ${after}`;
  }

  async #remove(): Promise<string> {
    const { id } = await this.#some();
    await removeSession(this.#here.sessions, id);
    return `${id} is removed`;
  }

  async #archive(): Promise<string> {
    const session = await this.#some();
    if (session.info.archive !== null) return `${session.id} is unarchived: ${await session.unarchive()}`;
    return `${session.id} is archived: ${await session.archive()}`;
  }

  async #takeSnapshot(): Promise<string> {
    const { id } = await this.#some();
    this.#snapshots.push(await this.#here.sessions.snapshot(id));
    return `a snapshot of ${id} is taken`;
  }

  /** A snapshot leads to no speaker but through its session, which must exist, and share as many turns as it did. */
  async #restore(): Promise<string> {
    const snapshot = this.#oneOf([undefined, ...this.#snapshots]);
    if (snapshot === undefined) return "no snapshot is restored";
    const { id, createdAt, inherited = 0 } = snapshot.session;
    const same = (await this.#list()).filter((one) => one.createdAt.getTime() === createdAt);
    if (!same.some((one) => one.id === id || (inherited === 0 && one.id.startsWith(`${id}.`)))) return `${id} is gone`;
    const now = inherited === 0 ? undefined : await this.#here.sessions.snapshot(id);
    if ((now?.session.inherited ?? 0) < inherited) return `${id} shares fewer turns`;
    const how = this.#chance() < 0.7 ? { as: `c${++this.#ids}` } : { onExists: "replace" as const };
    return `${id} is restored as ${(await this.#here.sessions.restore(snapshot, how)).id}`;
  }

  async #wait(): Promise<string> {
    const days = this.#oneOf([1, 31, 200]);
    await this.#here.clock.advance(days * day);
    if (this.#chance() < 0.5) await sweep(this.#here.sessions);
    return `${days} days pass`;
  }

  async #reset(): Promise<string> {
    const expired = (await this.#list()).filter(({ state }) => state === "expired");
    if (expired.length === 0) return "no session is reset";
    const { id, user } = this.#oneOf(expired);
    await this.#here.sessions.ensure(id, { onExpired: "reset", ...(user === null ? {} : { user }) });
    return `${id} is reset`;
  }
}

test("an erasure with forks leaves no word of its user after any history of sessions, devices and snapshots", async (context: TestContext) => {
  const chance = seededChanceOf(context);
  for (let round = 0; round < rounds(128); round++) {
    await using here = inMemory({ secret: "a secret for tests only", ttl: "30d" });
    const history = new History(here, chance);
    await history.begin();
    for (let step = 0; step < 30; step++) await history.step();
    await history.claimAll();
    for (const user of users) {
      await erase(here.sessions, { user, forks: "erase" });
      assert.deepEqual(await history.holding(user), [], `${user}:\n${history.steps.join("\n")}`);
    }
  }
});
