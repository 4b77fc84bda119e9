/**
 * Data inside the entries of logs that the store has once, beside them. An entry is JSON. A text in it that is base64, or a data URL
 * with base64, may be stored as a mark with the hash of its bytes: `attachment+base64:sha256,HASH` for the base64, and
 * `attachment+data:TYPE;sha256,HASH` for `data:TYPE;base64,BASE64`. A text that a caller wrote and that reads like a mark is stored with
 * one more `+`. The two directions are exact: a text that is stored and read back is the same text.
 */

/** A text of an entry that is bytes. */
export interface DetachedData {
  /** The media type of a data URL; undefined for base64 alone. */
  readonly type: string | undefined;
  readonly bytes: Uint8Array;
}

/** A mark in a stored entry. */
export interface Mark {
  readonly type: string | undefined;
  readonly hash: string;
}

const sign = "sha256,";
/** Each mark has this text. A search that begins with a rare character is many times faster, and every entry is searched. */
const rareSign = "256,";
const markForm =
  /(?<=")attachment(\++)(?:base64:|data:([\w!#$&^.+-]{1,100}\/[\w!#$&^.+;=-]{1,100});)sha256,([0-9a-f]{64})(?=")/g;
const dataUrlForm = /^data:([\w!#$&^.+-]{1,100}\/[\w!#$&^.+;=-]{1,100});base64,/;
const urlBeginMax = 220;

/** True where a text may have a mark or one that is escaped. */
export function mayHaveMarks(text: string): boolean {
  return text.includes(rareSign);
}

/** The text with one more `+` in what reads like a mark. */
export function escapedMarks(text: string): string {
  return mayHaveMarks(text) ? text.replace(markForm, (found) => found.replace("+", "++")) : text;
}

/** The marks in a stored text, without those that are escaped. */
export function marksIn(text: string): readonly Mark[] {
  return [...text.matchAll(markForm)].flatMap(([, plus, type, hash = ""]) => (plus === "+" ? [{ type, hash }] : []));
}

/** The text as it was given, with the base64 that a mark stands for; a mark without one stays. */
export function givenText(text: string, base64Of: (hash: string) => string | undefined): string {
  return text.replace(markForm, (found: string, plus: string, type: string | undefined, hash: string) => {
    if (plus !== "+") return found.replace("++", "+");
    const base64 = base64Of(hash);
    if (base64 === undefined) return found;
    return type === undefined ? base64 : `data:${type};base64,${base64}`;
  });
}

const lostForm =
  /^(?:data:([^,;]{1,100})[^,]{0,100};base64,)?attachment\+(?:base64:|data:([^,;"]{1,100})[^,"]{0,100};)sha256,([0-9a-f]{64})$/;
const lostLengthMax = 600;

/** The mark that a text of a message is, perhaps as the base64 of a data URL: it stays where the bytes are lost. */
export function lostMarkIn(text: string): Mark | undefined {
  if (text.length > lostLengthMax || !mayHaveMarks(text)) return undefined;
  const [, around, type = around, hash] = lostForm.exec(text) ?? [];
  return hash === undefined ? undefined : { type, hash };
}

/** The mark that stands for data. */
export function markOf({ type, hash }: Mark): string {
  return type === undefined ? `attachment+base64:${sign}${hash}` : `attachment+data:${type};${sign}${hash}`;
}

/** A text of an entry with more than so many bytes of data, and its place. */
export interface FoundData extends DetachedData {
  readonly from: number;
  readonly to: number;
}

/** The texts of an entry that are more than `bytesMax` bytes. A text with a quotation mark or a backslash is none. */
export function* dataIn(json: string, bytesMax: number): Generator<FoundData, void, undefined> {
  // Base64 has no quotation mark: it is between two of them, whichever strings they begin or end.
  const lengthMin = Math.ceil(((bytesMax + 1) * 4) / 3);
  for (let from = json.indexOf('"') + 1; from > 0;) {
    const to = json.indexOf('"', from);
    if (to < 0) return;
    if (to - from >= lengthMin) {
      const data = readData(json, from, to);
      if (data !== undefined && data.bytes.length > bytesMax) yield { ...data, from, to };
    }
    from = to + 1;
  }
}

function readData(json: string, from: number, to: number): DetachedData | undefined {
  const [begin = "", type] = dataUrlForm.exec(json.slice(from, Math.min(to, from + urlBeginMax))) ?? [];
  const base64 = json.slice(from + begin.length, to);
  if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return undefined;
  const bytes = Buffer.from(base64, "base64");
  // Bits that the bytes do not have would be lost.
  return bytes.toString("base64") === base64 ? { type, bytes } : undefined;
}
