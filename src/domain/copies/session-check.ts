/**
 * Checks that a record and its logs agree: it takes the logs entry by entry, and returns the problems and the repair. A repair
 * deletes nothing: it changes the record to agree with the logs.
 */
import { defined } from "../values/defined.ts";
import { hasTurns, inheritedIn } from "../branches/segments.ts";
import { readTree } from "../branches/tree.ts";
import { isArchivable } from "./archive.ts";
import { changeOf, draftOf, headOf, markLogs, namedLogs, set, type Change } from "../record/change.ts";
import { branchesLog, truncatedUsageLog, type Entry, type LogName } from "../record/entry.ts";
import { mayLackItsBeginning, readEvent } from "../record/event.ts";
import { noCounters, type Counters, type SessionRecord } from "../record/record.ts";
import { truncatedUsageOf } from "../turns/truncated-usage.ts";
import { countBegun, countSealed, countTruncatedUsage } from "../turns/counters.ts";
import { isTurn, putBackLost, replacedLog } from "../turns/replaced-turns.ts";
import { isSealed, readTurn } from "../turns/turn.ts";
import { counted } from "../../errors/counted.ts";

/** The kinds of problems of a session. */
export type ProblemKind = "gap" | "head" | "counters" | "open_turn" | "replaced" | "unreadable";

/** A problem of a session. */
export interface SessionProblem {
  readonly kind: ProblemKind;
  readonly what: string;
  /** The repair; null where only a backup helps. */
  readonly fix: string | null;
}

/** The fields of a record as its logs determine them. */
export type Repair = Partial<Pick<SessionRecord, "heads" | "counters" | "openTurn" | "waiting">>;

/** The result of a check. */
export interface CheckResult {
  readonly problems: readonly SessionProblem[];
  readonly repair: Repair | null;
  /** Puts back turns whose replacement was lost. It comes first; another check finds what is left. */
  readonly putBack?: Change;
}

const noUsage = { usage: { inputTokens: 0, outputTokens: 0, totalTokens: 0 }, requests: 0, durationMs: 0 };

/** The logs that determine fields of the record. */
export const checkedLogs: readonly LogName[] = ["turns", truncatedUsageLog, "chunks", "events", "instructions"];

export class SessionCheck {
  readonly #record: SessionRecord;
  readonly #problems: SessionProblem[] = [];
  /** The last entry of each log before a gap. */
  readonly #ends = new Map<LogName, number>();
  readonly #broken = new Set<LogName>();
  #counters: Counters = noCounters;
  /** The last turn, where it is open. */
  #openTurn: number | null = null;
  /** That turn waits to be resumed. */
  #isWaiting = false;
  /** The entries of the log `replaced`, of at most the bytes of one turn. */
  readonly #replaced: Entry[] = [];

  /** The last turn of the current branch whose usage is counted with another session. */
  readonly #inherited: number;

  constructor(record: SessionRecord) {
    this.#record = record;
    this.#inherited = inheritedIn(record, "turns");
  }

  /** The logs that the check takes, each from its beginning. */
  get logs(): readonly LogName[] {
    const { heads, archive } = this.#record;
    return [...new Set([...checkedLogs, ...Object.keys(archive?.heads ?? {}), ...Object.keys(heads)])];
  }

  /** Add the next entry of a log. */
  add(log: LogName, entry: Entry): void {
    const end = this.#ends.get(log) ?? (mayLackItsBeginning(log) ? entry.seq - 1 : 0);
    if (entry.seq !== end + 1) this.miss(log, `${log} has no entry ${end + 1}, but one ${entry.seq}`);
    this.#ends.set(log, entry.seq);
    if (log === replacedLog) this.#replaced.push(entry);
    const reason = this.#read(log, entry);
    if (reason === undefined) return;
    this.#broken.add(log);
    this.#report("unreadable", `entry ${entry.seq} of ${log} cannot be read: ${reason}`);
  }

  /** Report that entries of a log are missing. */
  miss(log: LogName, what: string): void {
    if (!this.#broken.has(log)) this.#report("gap", what);
    this.#broken.add(log);
  }

  /** Take an entry; the result says why it cannot be read. */
  #read(log: LogName, entry: Entry): string | undefined {
    if (log === "turns") {
      const turn = readTurn(entry);
      if (typeof turn === "string") return turn;
      const isOpen = !isSealed(turn);
      if (this.#openTurn !== null) this.#report("open_turn", `turn ${this.#openTurn} is open and not the last`);
      this.#openTurn = isOpen ? turn.seq : null;
      this.#isWaiting = turn.status === "waiting";
      this.#counters = countBegun(this.#counters, turn);
      // The usage of an inherited turn is counted with another session.
      const counted = turn.seq > this.#inherited ? turn : { ...turn, ...noUsage };
      if (!isOpen) this.#counters = countSealed(this.#counters, counted);
      return undefined;
    }
    if (hasTurns(log)) {
      const turn = readTurn(entry);
      if (typeof turn === "string") return turn;
      const { turns, messages } = this.#counters;
      if (turn.seq > inheritedIn(this.#record, log))
        this.#counters = { ...countSealed(this.#counters, turn), turns, messages };
      return undefined;
    }
    if (log === branchesLog) {
      if (readTree(entry.data)?.current !== this.#record.branches?.current)
        return "its branches are not those of the record";
      return undefined;
    }
    if (log === "events") {
      const event = readEvent(entry);
      return typeof event === "string" ? event : undefined;
    }
    try {
      if (log === truncatedUsageLog) this.#counters = countTruncatedUsage(this.#counters, [truncatedUsageOf(entry)]);
      else JSON.parse(entry.data);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  #report(kind: ProblemKind, what: string, fix: string | null = null): void {
    this.#problems.push({ kind, what, fix });
  }

  /** The problems, after all logs were added, and the fields of the record that repair them; null: none. */
  result(): CheckResult {
    const putBack = this.#lostReplacement();
    const heads = this.#heads();
    const counters = this.#countersThatHold();
    const openTurn = this.#openTurnThatIs();
    const waiting = this.#lostWait();
    const repair: Repair = defined({ heads, counters, openTurn, waiting });
    return {
      problems: this.#problems,
      repair: Object.keys(repair).length === 0 ? null : repair,
      ...defined({ putBack }),
    };
  }

  /** Turns are kept for the end of the open turn. Without an open turn, its entry was lost. */
  #lostReplacement(): Change | undefined {
    const count = this.#replaced.filter(isTurn).length;
    if (count === 0 || this.#openTurn !== null || this.#broken.has("turns") || this.#broken.has(replacedLog))
      return undefined;
    const change = putBackLost(this.#record, this.#replaced, this.#ends.get("turns") ?? 0);
    const what = `${counted(count, "turn")} that a question replaced ${count === 1 ? "is" : "are"} kept aside, and the question is lost`;
    const fix = `${count === 1 ? "it is" : "they are"} put back`;
    this.#report("replaced", what, change === null ? null : fix);
    return change ?? undefined;
  }

  #heads(): SessionRecord["heads"] | undefined {
    const heads = new Map(Object.entries(this.#record.heads));
    let differ = false;
    for (const log of this.logs) {
      const head = headOf(this.#record, log);
      const end = this.#ends.get(log) ?? 0;
      if (head === end || this.#broken.has(log)) continue;
      if (this.#isArchived(log)) {
        this.miss(log, `its archive should hold ${counted(head, "entry")} of ${log}, it holds ${end}`);
        continue;
      }
      if (mayLackItsBeginning(log) && !this.#ends.has(log)) continue;
      this.#report(
        "head",
        `its record says that ${log} ends with ${head}, it ends with ${end}`,
        `the record says ${end}`,
      );
      heads.set(log, end);
      differ = true;
    }
    return differ ? Object.fromEntries(heads) : undefined;
  }

  /** True for a log in an archive, which a change of the record does not repair. */
  #isArchived(log: LogName): boolean {
    return this.#record.archive !== null && isArchivable(log);
  }

  #countersThatHold(): Counters | undefined {
    if (this.#broken.has("turns") || this.#broken.has(truncatedUsageLog)) return undefined;
    const { counters } = this.#record;
    const wrong = (Object.keys(noCounters) as (keyof Counters)[]).filter(
      // Fractions of milliseconds that are added in another order may differ in their last digit.
      (name) => Math.abs(counters[name] - this.#counters[name]) > 1e-6 * Math.abs(counters[name]),
    );
    if (wrong.length === 0) return undefined;
    const differences = wrong.map((name) => `${name} ${counters[name]} for ${this.#counters[name]}`).join(", ");
    this.#report("counters", `it counts ${differences}`, "it counts what its logs hold");
    return this.#counters;
  }

  /** Null where the record says that a turn waits, and the log has none that does; undefined where they agree. */
  #lostWait(): null | undefined {
    if (this.#broken.has("turns") || this.#record.waiting === null || this.#isWaiting) return undefined;
    const what = `its record says that turn ${this.#record.openTurn} waits to be resumed, and it does not`;
    this.#report("open_turn", what, "the record says that no turn waits");
    return null;
  }

  /** The open turn; undefined where the record agrees. */
  #openTurnThatIs(): number | null | undefined {
    if (this.#broken.has("turns")) return undefined;
    const { openTurn } = this.#record;
    if (openTurn === this.#openTurn) return undefined;
    const named = (turn: number | null): string => (turn === null ? "no turn" : `turn ${turn}`);
    const what = `its record says that ${named(openTurn)} is open, but ${named(this.#openTurn)} is`;
    this.#report("open_turn", what, `the record says that ${named(this.#openTurn)} is open`);
    return this.#openTurn;
  }
}

/** Put the repaired fields into the record. Handles that had read the logs read them again. */
export function repairSession(record: SessionRecord, repair: Repair): Change {
  const draft = draftOf(record);
  set(draft, { ...repair, turnsVersion: draft.nextVersion });
  markLogs(draft, namedLogs(record));
  return changeOf(draft);
}
