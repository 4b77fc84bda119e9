import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Part, Said } from "./player.ts";

const player = fileURLToPath(new URL("player.ts", import.meta.url));

/** A player in a process of its own, and the lines that it has printed so far. */
export class PlayerProcess {
  readonly said: Said[] = [];
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;

  /** `onSaid` gets each line as it arrives. */
  constructor(part: Part, onSaid: (said: Said) => void = () => undefined) {
    this.#child = spawn(process.execPath, [player, JSON.stringify(part)], { stdio: ["ignore", "pipe", "inherit"] });
    const { stdout } = this.#child;
    if (stdout === null) throw new Error("a player needs its stdout");
    const lines = createInterface({ input: stdout });
    lines.on("line", (line) => {
      // A killed process may print half a line.
      if (!line.endsWith("}")) return;
      const said = JSON.parse(line) as Said;
      this.said.push(said);
      onSaid(said);
    });
    this.#closed = Promise.all([once(this.#child, "close"), once(lines, "close")]);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Wait for its end; true where it ended well. */
  async ended(): Promise<boolean> {
    await this.#closed;
    return this.#child.exitCode === 0;
  }
}
