/** Reads a session and the tails of its logs from one moment, for a write that is decided on them. */
import { parseNamedLog, markOf } from "../../domain/writes/named-logs.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import type { Loaded, LoadRequest } from "../../store/store.ts";
import type { Core } from "../core/core.ts";
import type { Handle } from "../handle/handle.ts";
import { logEntryOf, type LogEntry } from "../logs/log-entry.ts";
import { parseLimit } from "../options/arguments.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { infoOf, type SessionInfo } from "./session-info.ts";

/** The end of a log to look at. */
export interface TailQuery {
  /** A named log, or `turns`. */
  readonly log: string;
  /** The most entries, 0 or more; at most `limits.readMax`. */
  readonly last: number;
}

const tailNames: OptionNames<TailQuery> = { log: true, last: true };

/** A session at one moment. Its `version` and `marks` say what a write was decided on. */
export interface SessionLook {
  readonly version: number;
  readonly info: SessionInfo;
  /**
   * The last entries of each log that was asked for, in that order, by ascending seq. A tail has at most `limits.readBytesMax` bytes,
   * and its last entry whatever the size.
   */
  readonly tails: readonly (readonly LogEntry[])[];
  /** The last change of each of these logs. */
  readonly marks: { readonly [log: string]: string };
}

/** @throws SessionError as `Session.look` */
export async function lookOn(handle: Handle, tails: readonly TailQuery[]): Promise<SessionLook> {
  const wanted = parseTails(handle.core, tails);
  return lookAt(handle.core, wanted, await handle.peek(wanted));
}

/** @throws SessionError `argument_invalid`, `id_invalid`, `log_reserved` */
export function parseTails({ options }: Core, tails: readonly TailQuery[]): LoadRequest["tails"] {
  const { logsMax, readMax, readBytesMax: bytesMax } = options.limits;
  if (!Array.isArray(tails)) throw invalidArgument("tails", tails, { expected: "array" });
  const queries = tails as readonly TailQuery[];
  if (queries.length > logsMax + 1)
    throw invalidArgument("tails", tails.length, { expected: "whole_number", max: logsMax + 1 });
  for (const query of queries) guardNames(query, "tail", tailNames);
  return queries.map(({ log, last }) => ({
    log: log === "turns" ? log : parseNamedLog(log),
    last: last === 0 ? 0 : parseLimit(last, readMax),
    bytesMax,
  }));
}

/** What was loaded, with the tails that were wanted. @throws SessionError `store_invalid` */
export function lookAt(core: Core, wanted: LoadRequest["tails"], { record, tails }: Loaded): SessionLook {
  return {
    version: record.version,
    info: infoOf(record, core.now()),
    tails: tails.map((entries, index) => entries.map((entry) => logEntryOf(wanted[index]?.log ?? "", entry))),
    marks: Object.fromEntries(wanted.map(({ log }) => [log, markOf(record, log)])),
  };
}
