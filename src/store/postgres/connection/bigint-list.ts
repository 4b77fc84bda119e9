/** A parameter of the type `bigint[]`: in binary form where the client writes its messages itself, else as text. */
export class BigintList {
  readonly #numbers: readonly number[];

  /** Whole numbers within the safe range. */
  constructor(numbers: readonly number[]) {
    this.#numbers = numbers;
  }

  get bytes(): number {
    return header.length + this.#numbers.length * bytesOfItem;
  }

  /** Writes the binary form: the header of the list, and the length of each number before it. Returns its length. */
  writeTo(bytes: Buffer, start: number): number {
    let end = start + header.copy(bytes, start);
    bytes.writeInt32BE(this.#numbers.length, start + placeOfCount);
    for (const number of this.#numbers) {
      const high = Math.floor(number / 0x1_0000_0000);
      end = bytes.writeInt32BE(8, end);
      end = bytes.writeInt32BE(high, end);
      end = bytes.writeUInt32BE(number - high * 0x1_0000_0000, end);
    }
    return end - start;
  }

  /** `pg` calls it for the text of a parameter. */
  toPostgres(): string {
    return `{${this.#numbers.join(",")}}`;
  }
}

const bytesOfItem = 4 + 8;
/** One dimension, no nulls, the type `bigint`, the count, the first place 1. */
const header = Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 1]);
const placeOfCount = 12;
