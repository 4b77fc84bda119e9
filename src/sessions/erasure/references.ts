/** Counts the data of a user. */
import { isDeviceName } from "../core/keyed-hash.ts";
import { userContents, marksOf, noSharedForks, withFork, type SharedForks } from "./shared-forks.ts";
import { devicePages, sessionPages, stagedPages, waitingOf, waitingPages, type Subject } from "./subject.ts";

/** The data of a user in a store and in this machine's outbox. */
export interface References {
  /** Sessions in any state, archives included, and forks of them that name no user. */
  readonly sessions: number;
  /** Those of them under legal hold. */
  readonly held: number;
  /** Devices that speak for the user. */
  readonly devices: number;
  /**
   * Records that lead from the user to sessions: the pointer of the user, marks that name the user, and staged logs of copies that
   * were not finished.
   */
  readonly ways: number;
  /** Sessions in this machine's outbox. */
  readonly outbox: number;
  /** Sessions of other users that hold words of the user. */
  readonly sharedForks: SharedForks;
}

export async function tracesOf(subject: Subject): Promise<References> {
  const traces = { sessions: 0, held: 0, devices: 0, ways: 0, outbox: 0, sharedForks: noSharedForks };
  for await (const page of sessionPages(subject)) {
    traces.sessions += page.length;
    traces.held += page.filter(({ legalHold }) => legalHold !== null).length;
  }
  for await (const { pointers, guests } of devicePages(subject)) {
    const devices = pointers.filter(({ id }) => isDeviceName(id)).length;
    traces.devices += devices;
    traces.ways += pointers.length - devices;
    traces.sessions += guests.length;
    traces.held += guests.filter(({ legalHold }) => legalHold !== null).length;
    traces.outbox += (await waitingOf(subject, pointers)).length;
  }
  for await (const page of stagedPages(subject)) traces.ways += page.length;
  for await (const page of waitingPages(subject)) traces.outbox += page.length;
  for await (const { isPlain } of marksOf(subject)) if (isPlain) traces.ways++;
  for await (const { record, isTheirs } of userContents(subject)) {
    if (isTheirs && record.legalHold === null) traces.sessions++;
    else traces.sharedForks = withFork(traces.sharedForks, record);
  }
  return traces;
}
