/** Reads what a change of branches needs: their tree, and the messages of the turns that stay. */
import { treeOf, type BranchTree } from "../../domain/branches/tree.ts";
import { headOf } from "../../domain/record/change.ts";
import { branchesLog } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { TruncatedTurns } from "../../domain/turns/truncated-usage.ts";
import { messagesBefore, turnOf } from "../../domain/turns/turn.ts";
import { eachEntry, readLog, type LogSource } from "../core/log-reader.ts";

/** The branches of a session. @throws SessionError `store_invalid` for a tree that cannot be read */
export async function branchTree(source: LogSource, record: SessionRecord): Promise<BranchTree> {
  const range = { log: branchesLog, from: 1, to: 1, order: "ascending", limit: 1 } as const;
  const [entry] = headOf(record, branchesLog) === 0 ? [] : await readLog(source, record, range);
  return treeOf(entry);
}

/** The branches of a session that has several, for a change that truncates turns. */
export async function treeFor(source: LogSource, record: SessionRecord): Promise<Pick<TruncatedTurns, "tree">> {
  return record.branches === null ? {} : { tree: await branchTree(source, record) };
}

/** The turns after `after`, which a branch is to keep: however many they are, one of them is read. */
export async function keptTurns(source: LogSource, record: SessionRecord, after: number): Promise<TruncatedTurns> {
  const messages = record.counters.messages - (await messagesUpTo(source, record, after));
  return { messages, usage: [], tree: await branchTree(source, record), isKept: true };
}

/**
 * The number of messages in the turns up to `at`. The entry of the next turn stores it; if it does not, the turns are
 * read.
 */
export async function messagesUpTo(source: LogSource, record: SessionRecord, at: number): Promise<number> {
  const last = headOf(record, "turns");
  if (at === 0) return 0;
  // The rule refuses a number that is not a turn.
  if (at === last || !(Number.isSafeInteger(at) && at >= 1 && at < last)) return record.counters.messages;
  const next = { log: "turns", from: at + 1, to: at + 1, order: "ascending", limit: 1 } as const;
  const [entry] = await readLog(source, record, next);
  const known = entry && messagesBefore(entry);
  if (known !== undefined) return known;
  let messages = 0;
  for await (const one of eachEntry(source, record, "turns")) {
    if (one.seq > at) break;
    const { input, output } = turnOf(one);
    messages += input.length + output.length;
  }
  return messages;
}
