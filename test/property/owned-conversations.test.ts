/** Random commands of three devices and two users, against a model of plain values: each sees and changes its own alone. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { eachItem } from "../../src/domain/values/pages.ts";
import { hasCode, openSessions, type ConversationOwner, type Sessions } from "../../src/index.ts";
import { engineNames, Engines } from "../crash/engines.ts";
import { seededChanceOf } from "../support/chance.ts";
import { isThorough, rounds } from "../support/rounds.ts";

const secret = "a secret for tests only";
const devices = [1, 2, 3].map((number) => `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`);
const users = ["ada", "bob"];
const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

interface ModelConversation {
  /** A device or a user. */
  owner: string;
  title: string | null;
  isPinned: boolean;
  readonly words: string[];
}

class Model {
  readonly all = new Map<string, ModelConversation>();
  /** The user of each linked device. */
  readonly linked = new Map<string, string>();
  /** The current conversation of a guest or a user. */
  readonly current = new Map<string, string>();

  ownerOf({ device, user }: ConversationOwner): string {
    return user ?? this.linked.get(device) ?? device;
  }

  idsOf(owner: string): readonly string[] {
    return [...this.all].filter(([, one]) => one.owner === owner).map(([id]) => id);
  }
}

class Run {
  readonly #sessions: Sessions;
  readonly #chance: () => number;
  readonly #model = new Model();
  readonly steps: string[] = [];
  #made = 0;

  constructor(sessions: Sessions, chance: () => number) {
    this.#sessions = sessions;
    this.#chance = chance;
  }

  async step(): Promise<void> {
    const owner = this.#one<ConversationOwner>([
      ...devices.map((device) => ({ device })),
      ...users.map((user) => ({ user })),
    ]);
    const act = this.#one([
      () => this.#create(owner),
      () => this.#create(owner),
      () => this.#chat(owner),
      () => this.#say(owner),
      () => this.#rename(owner),
      () => this.#pin(owner),
      () => this.#unpin(owner),
      () => this.#remove(owner),
      () => this.#select(owner),
      () => this.#claim(owner),
      () => this.#unlink(owner),
    ]);
    await act();
  }

  /** Compares all that each owner sees with the model. */
  async check(): Promise<void> {
    for (const owner of [...devices.map((device) => ({ device })), ...users.map((user) => ({ user }))]) {
      const mine = this.#sessions.conversations(owner);
      const limit = 1 + Math.floor(this.#chance() * 4);
      const items = await Array.fromAsync(eachItem((rest) => mine.list({ limit, ...rest })));
      const own = this.#model.ownerOf(owner);
      const seen = items.map(({ id, title, isPinned, turns }) => ({ id, title, isPinned, turns }));
      const expected = this.#model.idsOf(own).map((id) => {
        const { title, isPinned, words } = this.#known(id);
        return { id, title, isPinned, turns: words.length };
      });
      const byId = (a: { readonly id: string }, b: { readonly id: string }): number => (a.id < b.id ? -1 : 1);
      assert.deepEqual(seen.toSorted(byId), expected.toSorted(byId), this.#told(own));
      const ordered = items.toSorted(
        (a, b) =>
          Number(b.isPinned) - Number(a.isPinned) ||
          Number(b.updatedAt) - Number(a.updatedAt) ||
          (a.id < b.id ? 1 : -1),
      );
      assert.deepEqual(items, ordered, this.#told(own));
      for (const id of this.#model.all.keys()) {
        const isOwn = this.#known(id).owner === own;
        const opened = await mine.open(id).catch((error: unknown) => error);
        assert.equal(hasCode(opened, "session_not_found"), !isOwn, this.#told(`${own} opens ${id}`));
      }
      const words = await Array.fromAsync(eachItem((rest) => mine.search("word", { limit: 3, ...rest })));
      const said = this.#model.idsOf(own).flatMap((id) => this.#known(id).words.map((word) => `${id} ${word}`));
      const found = words.map(({ session, snippet }) => `${session} ${snippet.text}`);
      assert.deepEqual(found.toSorted(), said.toSorted(), this.#told(`${own} searches`));
    }
  }

  async #create(owner: ConversationOwner): Promise<void> {
    const title = this.#chance() < 0.5 ? `title ${++this.#made}` : null;
    const { id } = await this.#sessions.conversations(owner).create({ title });
    this.#note(owner, "creates", id);
    this.#model.all.set(id, { owner: this.#model.ownerOf(owner), title, isPinned: false, words: [] });
  }

  /** A message to the current conversation, as `POST /v1/chat` takes it. */
  async #chat({ device }: ConversationOwner): Promise<void> {
    if (device === undefined) return;
    const session = await this.#sessions.devices.open(device);
    const owner = this.#model.ownerOf({ device });
    const current = this.#model.current.get(owner);
    this.#note({ device }, "chats in", session.id);
    if (current !== undefined && this.#model.all.has(current)) assert.equal(session.id, current, this.#told("current"));
    else assert(!this.#model.all.has(session.id), this.#told("a new one"));
    this.#model.current.set(owner, session.id);
    const known = this.#model.all.get(session.id) ?? { owner, title: null, isPinned: false, words: [] };
    this.#model.all.set(session.id, known);
    await session.append({ input: this.#word(known) });
  }

  async #say(owner: ConversationOwner): Promise<void> {
    await this.#attempt(owner, "says in", async (id) => {
      const session = await this.#sessions.conversations(owner).open(id);
      await session.append({ input: this.#word(this.#known(id)) });
    });
  }

  async #rename(owner: ConversationOwner): Promise<void> {
    const title = `title ${++this.#made}`;
    await this.#attempt(owner, "renames", async (id) => {
      await this.#sessions.conversations(owner).rename(id, title);
      this.#known(id).title = title;
    });
  }

  async #pin(owner: ConversationOwner): Promise<void> {
    await this.#attempt(owner, "pins", async (id) => {
      await this.#sessions.conversations(owner).pin(id);
      this.#known(id).isPinned = true;
    });
  }

  async #unpin(owner: ConversationOwner): Promise<void> {
    await this.#attempt(owner, "unpins", async (id) => {
      await this.#sessions.conversations(owner).unpin(id);
      this.#known(id).isPinned = false;
    });
  }

  async #remove(owner: ConversationOwner): Promise<void> {
    await this.#attempt(owner, "removes", async (id) => {
      await this.#sessions.conversations(owner).remove(id);
      this.#model.all.delete(id);
    });
  }

  async #select(owner: ConversationOwner): Promise<void> {
    await this.#attempt(owner, "selects", async (id) => {
      await this.#sessions.conversations(owner).select(id);
      this.#model.current.set(this.#model.ownerOf(owner), id);
    });
  }

  async #claim({ device }: ConversationOwner): Promise<void> {
    if (device === undefined) return;
    const user = this.#one(users);
    const session = await this.#sessions.devices.claim(device, user, { keep: "both" });
    this.#note({ device }, "is claimed by", user);
    const before = this.#model.ownerOf({ device });
    if (before !== user) {
      this.#model.linked.set(device, user);
      const [guests, theirs] = [this.#liveCurrent(before), this.#liveCurrent(user)];
      if (before === device) {
        for (const id of this.#model.idsOf(device)) this.#known(id).owner = user;
        this.#model.current.delete(device);
        if (theirs === undefined && guests !== undefined) this.#model.current.set(user, guests);
      }
    }
    const current = this.#liveCurrent(user);
    if (current === undefined) {
      this.#model.all.set(session.id, { owner: user, title: null, isPinned: false, words: [] });
      this.#model.current.set(user, session.id);
    } else assert.equal(session.id, current, this.#told("the claim continues"));
  }

  async #unlink({ device }: ConversationOwner): Promise<void> {
    if (device === undefined) return;
    await this.#sessions.devices.unlink(device);
    this.#note({ device }, "is unlinked", "");
    if (this.#model.linked.delete(device)) this.#model.current.delete(device);
  }

  /** A command on a conversation of anyone: another one's is refused, and stays as it is. */
  async #attempt(owner: ConversationOwner, verb: string, act: (id: string) => Promise<void>): Promise<void> {
    const ids = [...this.#model.all.keys()];
    if (ids.length === 0) return;
    const id = this.#one(ids);
    this.#note(owner, verb, id);
    const isOwn = this.#known(id).owner === this.#model.ownerOf(owner);
    if (isOwn) await act(id);
    else await assert.rejects(act(id), { code: "session_not_found" }, this.#told(id));
  }

  #word(conversation: ModelConversation): string {
    const word = `word ${++this.#made}`;
    conversation.words.push(word);
    return word;
  }

  #liveCurrent(owner: string): string | undefined {
    const id = this.#model.current.get(owner);
    return id !== undefined && this.#model.all.has(id) ? id : undefined;
  }

  #known(id: string): ModelConversation {
    const known = this.#model.all.get(id);
    assert.ok(known);
    return known;
  }

  #one<T>(all: readonly T[]): T {
    return all[Math.floor(this.#chance() * all.length)] as T;
  }

  #note(owner: ConversationOwner, verb: string, what: string): void {
    this.steps.push(`${owner.device ?? owner.user} ${verb} ${what}`);
  }

  #told(what: string): string {
    return `${what}\n${this.steps.join("\n")}`;
  }
}

async function run(store: string, chance: () => number): Promise<void> {
  await using sessions = await openSessions({ store, secret, sweep: false });
  const random = new Run(sessions, chance);
  for (let step = 0; step < 40; step++) {
    await random.step();
    if (step % 8 === 7) await random.check();
  }
}

test("random commands of three devices and two users reach their own conversations alone, in memory", async (context) => {
  const chance = seededChanceOf(context);
  for (let round = 0; round < rounds(40); round++) await run("memory:", chance);
});

for (const name of engineNames) {
  const skip = name === "PostgreSQL" && !isThorough ? "repeated in a thorough run" : false;
  test(
    `random commands of devices and users reach their own conversations alone, on ${name}`,
    { skip },
    async (context) => {
      const chance = seededChanceOf(context);
      const engine = await engines.get(name);
      const count = name === "SQLite" ? rounds(8, 1) : 2;
      for (let round = 0; round < count; round++) await run(await engine.fresh(), chance);
    },
  );
}
