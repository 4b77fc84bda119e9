/** A position in a {@link GrowingText}, from which a reader continues. */
export interface TextPosition {
  readonly block: number;
  /** Characters (UTF-16 code units) of the block that were read. */
  readonly length: number;
  /** Pieces of the last block that were read. */
  readonly pieces: number;
}

/** Small pieces are joined into blocks of this length or a little more. */
const blockLength = 8192;

/** A text that grows at its end. Many small pieces take no more memory than their characters. */
export class GrowingText {
  /** The start of the text. */
  static readonly start: TextPosition = { block: 0, length: 0, pieces: 0 };
  readonly #blocks: string[] = [];
  #pieces: string[] = [];
  #piecesLength = 0;

  add(piece: string): void {
    if (piece === "") return;
    this.#pieces.push(piece);
    this.#piecesLength += piece.length;
    if (this.#piecesLength < blockLength) return;
    this.#blocks.push(this.#pieces.join(""));
    this.#pieces = [];
    this.#piecesLength = 0;
  }

  get isEmpty(): boolean {
    return this.#blocks.length === 0 && this.#pieces.length === 0;
  }

  /**
   * The text after a position, piece by piece or a whole block at once, and the position after it; empty at the end.
   */
  read({ block, length, pieces }: TextPosition): { readonly text: string; readonly next: TextPosition } {
    const whole = this.#blocks[block];
    if (whole === undefined) {
      const text = this.#pieces[pieces];
      if (text === undefined) return { text: "", next: { block, length, pieces } };
      return { text, next: { block, length: length + text.length, pieces: pieces + 1 } };
    }
    const next = { block: block + 1, length: 0, pieces: 0 };
    const text = whole.slice(length);
    return text === "" ? this.read(next) : { text, next };
  }

  toString(): string {
    return [...this.#blocks, ...this.#pieces].join("");
  }
}
