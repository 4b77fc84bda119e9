/**
 * Which process this is, so that another one on the same machine can tell at once that it is gone. A process id alone
 * is not enough: ids come round again, and a container has its own. On Linux the boot, the process namespace and the
 * start time of the process settle it; elsewhere the id alone is asked, which errs on the side of taking a process for
 * alive, until its heartbeat is stale.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import type { Instance } from "../domain/record.ts";

export type ProcessIdentity = Pick<Instance, "host" | "pid" | "machine" | "startedAt">;

export function ownIdentity(): ProcessIdentity {
  return {
    host: hostname(),
    pid: process.pid,
    machine: machineName(),
    startedAt: startOf("self") ?? "",
  };
}

/** False only where the process is certainly gone. */
export function mayLive(instance: ProcessIdentity): boolean {
  if (instance.machine !== machineName()) return true;
  if (process.platform === "linux") {
    const startedAt = startOf(instance.pid);
    return startedAt !== undefined && (instance.startedAt === "" || startedAt === instance.startedAt);
  }
  try {
    process.kill(instance.pid, 0);
    return true;
  } catch (error) {
    // ESRCH: no such process. Anything else (EPERM) means that there is one.
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

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

/** The start time of a live process in clock ticks since boot; undefined where it is gone or a zombie. */
function startOf(pid: number | "self"): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    // No such process, or no /proc: either way there is nothing to compare.
    return undefined;
  }
  // The command's name stands in brackets and may hold anything: fields are counted from the last one. proc(5).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  return state === "Z" || state === "X" ? undefined : fields[19];
}
