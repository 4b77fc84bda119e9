import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import { endsWithTest } from "../support/ends-with-test.ts";
import { programOf } from "../support/programs.ts";

export interface InstanceOptions {
  readonly store: string;
  readonly port?: number;
  /** The pause of the model between two of its three pieces. @default 0 */
  readonly delayMs?: number;
  readonly fallback?: "stateless" | { readonly outbox: string };
}

/** A server in its own process. */
export class InstanceProcess {
  readonly child: ChildProcess;
  readonly url: string;

  private constructor(child: ChildProcess, url: string) {
    this.child = child;
    this.url = url;
  }

  static async start(options: InstanceOptions): Promise<InstanceProcess> {
    const child = endsWithTest(
      spawn(process.execPath, [programOf("test/server/instance.ts"), JSON.stringify(options)], {
        stdio: ["ignore", "pipe", "inherit"],
      }),
    );
    const [url] = (await once(createInterface(child.stdout), "line")) as [string];
    return new InstanceProcess(child, url);
  }

  /** SIGKILL: as in a power failure. SIGTERM: in good order. */
  async stop(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, "exit");
    this.child.kill(signal);
    await exited;
  }
}
