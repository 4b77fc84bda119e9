/** Puts attachments and appends turns that name them, until it is killed. */
import { randomBytes } from "node:crypto";
import type { Session } from "../../src/index.ts";

export interface AttachTask {
  readonly kind: "attach";
  readonly session: string;
  /** The folder with the bytes. @default the store */
  readonly in?: string;
}

export async function attach(session: Session, say: (what: object) => void): Promise<never> {
  for (let number = 1; ; number++) {
    // Every other one is staged in several commits.
    const bytes = randomBytes(number % 2 === 0 ? 2_000_000 : 50_000);
    const { hash, part } = await session.attachments.put(bytes, { type: "image/png" });
    say({ put: hash });
    await session.append({ input: [{ role: "user", content: [part] }] });
    say({ named: hash });
  }
}
