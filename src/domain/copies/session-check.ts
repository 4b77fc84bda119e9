/**
 * Whether a record and its logs agree: fed the logs entry by entry, it says what is wrong and what would mend it. Nothing
 * that mends deletes: the record follows the logs, never the other way round.
 */
import { defined } from "../values/defined.ts";
import { isArchivable } from "./archive.ts";
import { changeOf, draftOf, headOf, set, type Change } from "../record/change.ts";
import type { Entry, LogName } from "../record/entry.ts";
import { mayLackItsBeginning } from "../record/event.ts";
import { noCounters, type Counters, type SessionRecord } from "../record/record.ts";
import { spentOf } from "../turns/truncated-usage.ts";
import { countBegun, countSealed, countTruncatedUsage } from "../turns/counters.ts";
import { turnOf } from "../turns/turn.ts";

/** What can be wrong with a session. */
export type ProblemKind = "gap" | "head" | "counters" | "open_turn" | "unreadable";

/** Something that is wrong with a session. */
export interface SessionProblem {
  readonly kind: ProblemKind;
  readonly what: string;
  /** What mends it; null: nothing but a backup. */
  readonly remedy: string | null;
}

/** What a record should say for what its logs hold. */
export type Repair = Partial<Pick<SessionRecord, "heads" | "counters" | "openTurn">>;

const tookNothing = { usage: { inputTokens: 0, outputTokens: 0, totalTokens: 0 }, requests: 0, durationMs: 0 };

/** The logs that say what a record must. */
export const checkedLogs: readonly LogName[] = ["turns", "spent", "chunks", "events", "instructions"];

export class SessionCheck {
  readonly #record: SessionRecord;
  readonly #flaws: SessionProblem[] = [];
  /** Where each log ends as far as it runs without a gap. */
  readonly #ends = new Map<LogName, number>();
  readonly #broken = new Set<LogName>();
  #counters: Counters = noCounters;
  /** The last turn, where it is open. */
  #openTurn: number | null = null;

  constructor(record: SessionRecord) {
    this.#record = record;
  }

  /** The logs to be fed to it, each from its beginning. */
  get logs(): readonly LogName[] {
    const { heads, archive } = this.#record;
    return [...new Set([...checkedLogs, ...Object.keys(archive?.heads ?? {}), ...Object.keys(heads)])];
  }

  /** The next entry of a log. */
  add(log: LogName, entry: Entry): void {
    const end = this.#ends.get(log) ?? (mayLackItsBeginning(log) ? entry.seq - 1 : 0);
    if (entry.seq !== end + 1) this.miss(log, `${log} has no entry ${end + 1}, but one ${entry.seq}`);
    this.#ends.set(log, entry.seq);
    try {
      this.#read(log, entry);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#broken.add(log);
      this.#flaw("unreadable", `entry ${entry.seq} of ${log} cannot be read: ${reason}`);
    }
  }

  /** Entries of a log are missing. */
  miss(log: LogName, what: string): void {
    if (!this.#broken.has(log)) this.#flaw("gap", what);
    this.#broken.add(log);
  }

  #read(log: LogName, entry: Entry): void {
    if (log === "turns") {
      const turn = turnOf(entry);
      const isOpen = turn.status === "open";
      if (this.#openTurn !== null) this.#flaw("open_turn", `turn ${this.#openTurn} is open and not the last`);
      this.#openTurn = isOpen ? turn.seq : null;
      this.#counters = countBegun(this.#counters, turn);
      // What an inherited turn took, another session has spent.
      const took = turn.seq > this.#record.inherited ? turn : { ...turn, ...tookNothing };
      if (!isOpen) this.#counters = countSealed(this.#counters, took);
    } else if (log === "spent") {
      this.#counters = countTruncatedUsage(this.#counters, [spentOf(entry)]);
    } else {
      JSON.parse(entry.data);
    }
  }

  #flaw(kind: ProblemKind, what: string, remedy: string | null = null): void {
    this.#flaws.push({ kind, what, remedy });
  }

  /** What is wrong, once all logs were fed, and the fields of the record that mend what can be mended; null: none. */
  result(): { readonly flaws: readonly SessionProblem[]; readonly cure: Repair | null } {
    const heads = this.#heads();
    const counters = this.#countersThatHold();
    const openTurn = this.#openTurnThatIs();
    const cure: Repair = defined({ heads, counters, openTurn });
    return { flaws: this.#flaws, cure: Object.keys(cure).length === 0 ? null : cure };
  }

  #heads(): SessionRecord["heads"] | undefined {
    const heads = new Map(Object.entries(this.#record.heads));
    let differ = false;
    for (const log of this.logs) {
      const head = headOf(this.#record, log);
      const end = this.#ends.get(log) ?? 0;
      if (head === end || this.#broken.has(log)) continue;
      if (this.#isPutAway(log)) {
        this.miss(log, `its archive should hold ${head} entries of ${log}, it holds ${end}`);
        continue;
      }
      if (mayLackItsBeginning(log) && !this.#ends.has(log)) continue;
      this.#flaw(
        "head",
        `its record says that ${log} ends with ${head}, it ends with ${end}`,
        `the record says ${end}`,
      );
      heads.set(log, end);
      differ = true;
    }
    return differ ? Object.fromEntries(heads) : undefined;
  }

  /** What is in an archive is not mended by changing the record. */
  #isPutAway(log: LogName): boolean {
    return this.#record.archive !== null && isArchivable(log);
  }

  #countersThatHold(): Counters | undefined {
    if (this.#broken.has("turns") || this.#broken.has("spent")) return undefined;
    const { counters } = this.#record;
    const wrong = (Object.keys(noCounters) as (keyof Counters)[]).filter(
      // Fractions of milliseconds that were added up in another order may differ in their last digit.
      (name) => Math.abs(counters[name] - this.#counters[name]) > 1e-6 * Math.abs(counters[name]),
    );
    if (wrong.length === 0) return undefined;
    const said = wrong.map((name) => `${name} ${counters[name]} for ${this.#counters[name]}`).join(", ");
    this.#flaw("counters", `it counts ${said}`, "it counts what its logs hold");
    return this.#counters;
  }

  /** Undefined where the record says so already. */
  #openTurnThatIs(): number | null | undefined {
    if (this.#broken.has("turns")) return undefined;
    const { openTurn } = this.#record;
    if (openTurn === this.#openTurn) return undefined;
    const named = (turn: number | null): string => (turn === null ? "no turn" : `turn ${turn}`);
    const what = `its record says that ${named(openTurn)} is open, but ${named(this.#openTurn)} is`;
    this.#flaw("open_turn", what, `the record says that ${named(this.#openTurn)} is open`);
    return this.#openTurn;
  }
}

/** Put into the record what its logs say. Who had seen it before has to look again. */
export function repairSession(record: SessionRecord, cure: Repair): Change {
  const draft = draftOf(record);
  set(draft, { ...cure, turnsVersion: draft.nextVersion });
  return changeOf(draft);
}
