/** One session as the page shows it: its record, its turns, its lease, the answer as it arrives. */
import { batch, signal, type Signal } from "@preact/signals";
import { call, follow, may, sessionPath } from "../http/api.ts";
import { onChange } from "../http/news.ts";
import { partsOf, type SessionParts } from "./session-parts.ts";
import type { LeaseHolder, LogPage, Message, Session, Turn, WaitingTurn } from "../http/wire.ts";

/** The parts of an answer in progress. */
export interface Arriving {
  readonly turn: number;
  readonly text: string;
  readonly reasoning: string;
  readonly messages: readonly Message[];
}

const pageTurns = 40;
const gatherMs = 200;

export class Conversation {
  readonly id: string;
  readonly session: Signal<Session | undefined> = signal(undefined);
  readonly error: Signal<unknown> = signal(undefined);
  /** In order; undefined until the first page is there. */
  readonly turns: Signal<readonly Turn[] | undefined> = signal(undefined);
  /** The number in front of which there are earlier turns; undefined: none. */
  readonly before: Signal<number | undefined> = signal(undefined);
  readonly unreadable: Signal<number> = signal(0);
  readonly arriving: Signal<Arriving | undefined> = signal(undefined);
  readonly holder: Signal<LeaseHolder | undefined> = signal(undefined);
  readonly waiting: Signal<WaitingTurn | undefined> = signal(undefined);
  readonly parts: Signal<SessionParts | undefined> = signal(undefined);
  readonly partsFailure: Signal<unknown> = signal(undefined);
  /** Counts the changes of the session, for parts that read more of it. */
  readonly changes: Signal<number> = signal(0);
  readonly #closing = new AbortController();
  readonly #unfollow: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The version of the turns that were read. */
  #turnsVersion: number | undefined;
  #partsVersion: number | undefined;
  #partsReads = 0;

  constructor(id: string) {
    this.id = id;
    this.#unfollow = onChange((session) => {
      if (session !== undefined && session !== id) return;
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        void this.reload();
      }, gatherMs);
    });
    void this.#begin();
  }

  close(): void {
    this.#closing.abort();
    this.#unfollow();
    clearTimeout(this.#timer);
  }

  async #begin(): Promise<void> {
    await this.reload();
    if (this.error.value !== undefined) return;
    try {
      const { items, before, unreadable = [] } = await this.#page({ last: pageTurns });
      batch(() => {
        this.turns.value = items;
        this.before.value = before;
        this.unreadable.value = unreadable.length;
      });
    } catch (error) {
      this.#fail(error);
      return;
    }
    const last = this.turns.value?.at(-1);
    const after = last === undefined ? 0 : isSealed(last) ? last.seq : last.seq - 1;
    await follow(sessionPath(this.id, "/watch"), {
      signal: this.#closing.signal,
      query: { after },
      onEvent: ({ event, data }) => this.#take(event, data),
    });
  }

  retry(): void {
    this.error.value = undefined;
    void this.#begin();
  }

  /** Reads the record, the lease and the wait again. */
  async reload({ readsParts = false }: { readonly readsParts?: boolean } = {}): Promise<void> {
    // What a session has beside its turns may change without a new version.
    if (readsParts) this.#partsVersion = undefined;
    const { signal } = this.#closing;
    try {
      const [session, holder] = await Promise.all([
        call<Session>(sessionPath(this.id), { signal }),
        call<LeaseHolder | undefined>(sessionPath(this.id, "/lease"), { signal }),
      ]);
      // The token of a wait is for those that may decide.
      const waiting =
        session.waitingTurn !== null && may("write")
          ? await call<WaitingTurn | undefined>(sessionPath(this.id, "/waiting"), { signal })
          : undefined;
      batch(() => {
        this.session.value = session;
        this.holder.value = holder;
        this.waiting.value = waiting;
        this.changes.value++;
      });
      void this.#readParts(session.version);
      await this.#readReplaced(session.seen.version);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Reads what the session has beside its turns, once for each version. */
  async #readParts(version: number): Promise<void> {
    if (this.#partsVersion === version) return;
    this.#partsVersion = version;
    const read = ++this.#partsReads;
    try {
      const parts = await partsOf(this.id, this.#closing.signal);
      if (read !== this.#partsReads) return;
      this.parts.value = parts;
      this.partsFailure.value = undefined;
    } catch (error) {
      if (!this.#closing.signal.aborted) this.partsFailure.value = error;
    }
  }

  /** Reads the last turns again: a switch to another branch replaces turns that the watch has sent before. */
  async #readReplaced(version: number): Promise<void> {
    const known = this.#turnsVersion;
    this.#turnsVersion = version;
    if (known === undefined || known === version || this.turns.value === undefined) return;
    const { items } = await this.#page({ last: pageTurns });
    const first = items[0]?.seq ?? 0;
    const open = items.find((turn) => !isSealed(turn));
    batch(() => {
      this.turns.value = [...(this.turns.value ?? []).filter(({ seq }) => seq < first), ...items];
      if (this.arriving.value?.turn !== open?.seq) this.arriving.value = undefined;
    });
  }

  /** Loads the turns in front of the first one. */
  async earlier(): Promise<void> {
    const before = this.before.value;
    if (before === undefined) return;
    const page = await this.#page({ last: pageTurns, before });
    batch(() => {
      this.turns.value = [...page.items, ...(this.turns.value ?? [])];
      this.before.value = page.before;
      this.unreadable.value += page.unreadable?.length ?? 0;
    });
  }

  async #page(query: Readonly<Record<string, number>>): Promise<LogPage<Turn>> {
    return await call<LogPage<Turn>>(sessionPath(this.id, "/turns"), { query, signal: this.#closing.signal });
  }

  #fail(error: unknown): void {
    if (!this.#closing.signal.aborted) this.error.value = error;
  }

  #take(event: string, data: unknown): void {
    if (event === "turn") this.#takeTurn((data as { turn: Turn }).turn);
    else if (event === "truncated") {
      const { after } = data as { after: number };
      batch(() => {
        this.turns.value = (this.turns.value ?? []).filter(({ seq }) => seq <= after);
        if ((this.arriving.value?.turn ?? 0) > after) this.arriving.value = undefined;
      });
    } else if (event === "chunk") this.#takeChunk(data as { turn: number; chunk: Chunk });
  }

  #takeTurn(turn: Turn): void {
    batch(() => {
      const others = (this.turns.value ?? []).filter(({ seq }) => seq !== turn.seq);
      this.turns.value = [...others, turn].sort((a, b) => a.seq - b.seq);
      if (this.arriving.value?.turn === turn.seq) this.arriving.value = undefined;
    });
  }

  #takeChunk({ turn, chunk }: { readonly turn: number; readonly chunk: Chunk }): void {
    const known = this.arriving.value;
    const { text, reasoning, messages } =
      known?.turn === turn ? known : { text: "", reasoning: "", messages: [] as readonly Message[] };
    this.arriving.value = {
      turn,
      text: chunk.message === undefined ? text + (chunk.text ?? chunk.said ?? "") : "",
      reasoning: reasoning + (chunk.reasoning ?? ""),
      messages: chunk.message === undefined ? messages : [...messages, ...spoken(text), chunk.message],
    };
  }
}

interface Chunk {
  readonly text?: string;
  readonly reasoning?: string;
  readonly message?: Message;
  readonly said?: string;
}

/** The text in front of a message as a message. */
function spoken(text: string): readonly Message[] {
  return text === "" ? [] : [{ role: "assistant", content: text }];
}

export function isSealed({ status }: Pick<Turn, "status">): boolean {
  return status !== "open" && status !== "waiting";
}
