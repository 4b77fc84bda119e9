/**
 * Which process this is, so that another one on the same machine can tell at once that it is gone. A process id alone
 * is not enough: ids come round again, and a container has its own. On Linux the boot, the process namespace and the
 * start time of the process settle it; elsewhere the id alone is asked, which errs on the side of taking a process for
 * alive, until its heartbeat is stale.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import type { Instance } from "../../domain/record/record.ts";

export type ProcessIdentity = Pick<Instance, "host" | "pid" | "machine" | "startedAt">;

export function ownIdentity(): ProcessIdentity {
  return {
    host: hostname(),
    pid: process.pid,
    machine: machineName(),
    startedAt: startIn(ofThisMachine.statOf(process.pid) ?? "") ?? "",
  };
}

/** What this process can see of another one. */
export interface ProcessView {
  /** False where no process has this id. The system tells that also of processes of other users. */
  exists(pid: number): boolean;
  /** The text of /proc/PID/stat; undefined where it is hidden from this user, or not there. */
  statOf(pid: number): string | undefined;
}

/** False only where the process is certainly gone. What is hidden from this user may live: its heartbeat decides. */
export function mayLive(instance: ProcessIdentity, view: ProcessView = ofThisMachine): boolean {
  if (instance.machine !== machineName()) return true;
  if (!view.exists(instance.pid)) return false;
  const stat = process.platform === "linux" ? view.statOf(instance.pid) : undefined;
  if (stat === undefined) return true;
  const startedAt = startIn(stat);
  return startedAt !== undefined && (instance.startedAt === "" || startedAt === instance.startedAt);
}

const ofThisMachine: ProcessView = {
  exists(pid) {
    try {
      process.kill(pid, 0);
      return true;
    } catch (error) {
      // ESRCH: no such process. Anything else (EPERM) means that there is one.
      return (error as NodeJS.ErrnoException).code !== "ESRCH";
    }
  },
  statOf(pid) {
    try {
      return readFileSync(`/proc/${pid}/stat`, "utf8");
    } catch {
      // Mounted with hidepid, or the process ended in this moment: the next look says so.
      return undefined;
    }
  },
};

let machine: string | undefined;

function machineName(): string {
  machine ??= process.platform === "linux" ? linuxMachine() : `${process.platform}:${hostname()}`;
  return machine;
}

function linuxMachine(): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `linux:${boot}:${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    // Without /proc nothing is known of other processes: a name of its own makes heartbeats the only evidence.
    return `linux:unknown:${crypto.randomUUID()}`;
  }
}

/** The start time of a live process in clock ticks since boot; undefined for a zombie. */
function startIn(stat: string): string | undefined {
  // The command's name stands in brackets and may hold anything: fields are counted from the last one. proc(5).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  return state === "Z" || state === "X" ? undefined : fields[19];
}
