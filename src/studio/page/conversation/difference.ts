/** A piece of a text; it is the same in both texts, or in one only. */
export interface Piece {
  readonly text: string;
  readonly isSame: boolean;
}

/** Texts of more words are compared by their beginnings and ends alone. */
const wordsMax = 600;

/** Two texts in pieces, word by word, by their longest common sequence. */
export function differenceOf(one: string, other: string): readonly [readonly Piece[], readonly Piece[]] {
  const [a, b] = [one, other].map((text) => text.split(/(?<=\s)/)) as [string[], string[]];
  let from = 0;
  while (from < Math.min(a.length, b.length) && a[from] === b[from]) from++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - from && a.at(-1 - end) === b.at(-1 - end)) end++;
  const middle = [a.slice(from, a.length - end), b.slice(from, b.length - end)] as const;
  const common = commonOf(...middle);
  const piecesOf = (words: readonly string[], part: readonly string[], index: 0 | 1): readonly Piece[] =>
    merged([
      { text: words.slice(0, from).join(""), isSame: true },
      ...part.map((text, place) => ({ text, isSame: common[index].has(place) })),
      { text: words.slice(words.length - end).join(""), isSame: true },
    ]);
  return [piecesOf(a, middle[0], 0), piecesOf(b, middle[1], 1)];
}

/** The places of the words of a longest common sequence, in each text. */
function commonOf(a: readonly string[], b: readonly string[]): readonly [ReadonlySet<number>, ReadonlySet<number>] {
  const found: [Set<number>, Set<number>] = [new Set(), new Set()];
  if (a.length > wordsMax || b.length > wordsMax) return found;
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  const at = (i: number, j: number): number => lengths[i]?.[j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--) {
      const row = lengths[i];
      if (row !== undefined) row[j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) {
      found[0].add(i++);
      found[1].add(j++);
    } else if (at(i + 1, j) >= at(i, j + 1)) i++;
    else j++;
  }
  return found;
}

function merged(pieces: readonly Piece[]): readonly Piece[] {
  const result: { text: string; isSame: boolean }[] = [];
  for (const { text, isSame } of pieces) {
    if (text === "") continue;
    const last = result.at(-1);
    if (last?.isSame === isSame) last.text += text;
    else result.push({ text, isSame });
  }
  return result;
}
