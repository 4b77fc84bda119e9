/**
 * The identity of this process, by which another one on the same machine recognises its end at once. A process id alone is
 * not enough: ids are reused, and a container has its own. On Linux the boot, the process namespace and the start time of
 * the process are compared too; elsewhere only the id, so that a dead process may count as alive until its heartbeat is
 * stale.
 */
import { hostname } from "node:os";
import type fileSystem from "node:fs";
import type { Instance } from "../../domain/record/record.ts";

/** An import of the module also loads `node:fs/promises`, which takes a tenth of the import of Perdure. */
const fs = (): typeof fileSystem => process.getBuiltinModule("node:fs");

export type ProcessIdentity = Pick<Instance, "host" | "pid" | "machine" | "startedAt">;

export function ownIdentity(): ProcessIdentity {
  return {
    host: hostname(),
    pid: process.pid,
    machine: machineName(),
    startedAt: startIn(ofThisMachine.statOf(process.pid) ?? "") ?? "",
  };
}

/** The view that this process has of another one. */
export interface ProcessView {
  /** False where no process has this id; works for processes of other users too. */
  exists(pid: number): boolean;
  /** The text of /proc/PID/stat; undefined where it is hidden from this user, or not there. */
  statOf(pid: number): string | undefined;
}

/** False only where the process has certainly ended. For a hidden process the heartbeat decides. */
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
      return fs().readFileSync(`/proc/${pid}/stat`, "utf8");
    } catch {
      // Mounted with hidepid, or the process ended just now: the next check finds out.
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
    const boot = fs().readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `linux:${boot}:${fs().readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    // Without /proc other processes are unknown: a unique name leaves heartbeats as the only evidence.
    return `linux:unknown:${crypto.randomUUID()}`;
  }
}

/** The start time of a live process in clock ticks since boot; undefined for a zombie. */
function startIn(stat: string): string | undefined {
  // The command's name is in brackets and may contain anything: fields are counted from the last one. proc(5).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  return state === "Z" || state === "X" ? undefined : fields[19];
}
