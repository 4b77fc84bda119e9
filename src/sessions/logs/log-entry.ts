import type { Entry, LogName } from "../../domain/record/entry.ts";
import { turnOf } from "../../domain/turns/turn.ts";
import { decode, type Value } from "../../domain/values/codec.ts";
import { SessionError } from "../../errors.ts";

/** An entry of a log, as plain data. */
export interface LogEntry {
  /** Its number in the log: 1, 2, 3 … without gaps. */
  readonly seq: number;
  /** Its key, unique in the log. */
  readonly key: string | null;
  /** When it was written. */
  readonly at: Date;
  /** The value; in the log `turns` the turn. */
  readonly value: Value;
}

/** @throws SessionError `store_invalid` for an entry that cannot be read */
export function logEntryOf(log: LogName, entry: Entry): LogEntry {
  const { seq, key } = entry;
  const at = new Date(entry.at);
  if (log === "turns") return { seq, key, at, value: turnOf(entry) as unknown as Value };
  try {
    return { seq, key, at, value: decode(entry.data) };
  } catch (cause) {
    throw new SessionError("store_invalid", { problem: "entry_invalid", log, seq }, { cause });
  }
}
