/** Checks the attachments of a snapshot: their descriptions, and that their bytes are those of their hashes. */
import { createHash, type Hash } from "node:crypto";
import {
  attachmentsLog,
  isHash,
  parseFileName,
  parseMediaType,
  pieceBytes,
} from "../../domain/attachments/attachment.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import type { Limits } from "../../domain/values/limits.ts";
import { judged, objectOf, wholeOf, type Refuse } from "./snapshot-fields.ts";

interface Current {
  readonly hash: string;
  readonly digest: Hash;
  left: number;
}

/** Takes the entries of the log of attachments, in order. */
export class AttachmentGuard {
  readonly #limits: Limits;
  readonly #refuse: Refuse;
  readonly #hashes = new Set<string>();
  #current: Current | undefined;

  constructor(limits: Limits, refuse: Refuse) {
    this.#limits = limits;
    this.#refuse = refuse;
  }

  /** @throws what `refuse` throws */
  add(value: unknown, path: string): void {
    if (this.#current === undefined) this.#begin(value, path);
    else this.#continue(this.#current, value, path);
    const current = this.#current;
    if (current === undefined || current.left > 0) return;
    const found = current.digest.digest("hex");
    if (found !== current.hash) this.#refuse(path, { value: found, expected: "one_of", known: [current.hash] });
    this.#current = undefined;
  }

  #begin(value: unknown, path: string): void {
    const refuse = this.#refuse;
    const { hash, type, length, name } = objectOf(value, path, refuse);
    if (typeof hash !== "string" || !isHash(hash))
      return refuse(`${path}.hash`, { value: formatValue(hash), expected: "sha256" });
    if (this.#hashes.has(hash)) refuse(`${path}.hash`, { value: hash, expected: "unique" });
    this.#hashes.add(hash);
    const { attachmentsMax: max, attachmentBytesMax: most } = this.#limits;
    if (this.#hashes.size > max) refuse(`logs.${attachmentsLog}`, { length: this.#hashes.size, expected: "list", max });
    judged(`${path}.type`, refuse, () => parseMediaType(type));
    if (name !== undefined) judged(`${path}.name`, refuse, () => parseFileName(name));
    const left = wholeOf(length, `${path}.length`, { least: 0, most, refuse });
    this.#current = { hash, digest: createHash("sha256"), left };
  }

  #continue(current: Current, value: unknown, path: string): void {
    const bytes = typeof value === "string" ? Buffer.from(value, "base64") : Buffer.alloc(0);
    const length = Math.min(pieceBytes, current.left);
    if (bytes.length !== length || bytes.toString("base64") !== value)
      this.#refuse(path, { length: bytes.length, expected: "bytes", max: length });
    current.digest.update(bytes);
    current.left -= length;
  }

  /** Check that the last attachment is whole. @throws what `refuse` throws */
  end(): void {
    if (this.#current !== undefined) this.#refuse(`logs.${attachmentsLog}`, { expected: "complete" });
  }
}
