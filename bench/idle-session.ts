import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Measure } from "./measure.ts";

/** The heap that a live `Session` holds on to, in a process of its own, where nothing else lives. */
export async function idleSession(folder: string): Promise<Measure> {
  const script = fileURLToPath(new URL("idle-session-child.ts", import.meta.url));
  const url = `sqlite:${join(folder, "idle.db")}?synchronous=normal`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", script, url]);
  const bytes = Number(stdout);
  return {
    name: "a live idle Session, heap",
    unit: "bytes",
    ours: bytes,
    value: bytes,
    valueUnit: "bytes",
    bar: { atMost: 2048 },
  };
}
