/** The range of bytes that a request names: https://www.rfc-editor.org/rfc/rfc9110#name-range */

/** Bytes from one to another, bounds included. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/** The range of a header; undefined without one, and for several or another unit, which mean all bytes. */
export function rangeIn(header: string | undefined, length: number): ByteRange | "beyond" | undefined {
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? "") ?? [];
  if (first === "" && last === "") return undefined;
  if (first === "") {
    const from = Math.max(0, length - Number(last));
    return from < length ? { from, to: length - 1 } : "beyond";
  }
  const [from, to] = [Number(first), last === "" ? length - 1 : Math.min(Number(last), length - 1)];
  if (last !== "" && Number(last) < from) return undefined;
  return from < length ? { from, to } : "beyond";
}
