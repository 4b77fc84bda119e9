/** A part of a text around what a search found in it, with marks. */
import type { SearchTerms } from "./search-terms.ts";
import { cut, fold, foldedParts, pairsOf, searchedCharactersMax, wordsIn, wordsOf } from "./words.ts";

/** The characters of a snippet. */
export const snippetCharactersMax = 200;
/** The characters before the first mark. */
const leadCharacters = 60;

/** A part of a text. */
export interface Snippet {
  /** At most 200 characters of the text, with an ellipsis where it was cut. */
  readonly text: string;
  /** What was found: the places of the first character and of the one behind the last, in order, apart from each other. */
  readonly marks: readonly (readonly [from: number, to: number])[];
}

type Mark = readonly [from: number, to: number];

/** The part of a text around the first words that match. */
export function snippetOf(terms: SearchTerms, text: string): Snippet {
  const marks = marksIn(terms, text.slice(0, searchedCharactersMax));
  const first = marks[0]?.[0] ?? 0;
  const from = text.length <= snippetCharactersMax ? 0 : wordStart(text, Math.max(0, first - leadCharacters));
  const to = wholeCharacters(text, Math.min(text.length, from + snippetCharactersMax));
  const [before, after] = [from > 0 ? "…" : "", to < text.length ? "…" : ""];
  const shift = before.length - from;
  return {
    text: `${before}${text.slice(from, to)}${after}`,
    marks: marks.flatMap(([start, end]): Mark[] =>
      start >= from && start < to ? [[start + shift, Math.min(end, to) + shift]] : [],
    ),
  };
}

/** The start of the word at or behind a place, within a few characters. */
function wordStart(text: string, from: number): number {
  if (from === 0) return 0;
  const space = text.slice(from, from + leadCharacters / 2).search(/\s/);
  return space === -1 ? wholeCharacters(text, from) : from + space + 1;
}

/** The place, or the one before it within a surrogate pair. */
function wholeCharacters(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code <= 0xdfff ? at - 1 : at;
}

function marksIn({ words, phrases }: SearchTerms, text: string): readonly Mark[] {
  const isFound = (word: string): boolean =>
    words.some((searched) => (searched.isPrefix ? word.startsWith(searched.word) : word === searched.word));
  const marks: Mark[] = [];
  for (const { 0: word, index } of text.matchAll(wordsIn(text))) {
    const parts = foldedParts(word);
    if (parts.some(({ isRun }) => isRun)) marks.push(...marksInRun(word, index, isFound));
    else if ([...wordsOf(word), ...parts.map((part) => cut(part.text))].some(isFound))
      marks.push([index, index + word.length]);
  }
  return joined([...marks, ...phrases.flatMap((phrase) => placesOf(phrase, text))]);
}

/** Marks within a word that has runs of a script without spaces: the characters and pairs that are found. */
function marksInRun(word: string, at: number, isFound: (word: string) => boolean): readonly Mark[] {
  const characters = Array.from(word);
  const marks: Mark[] = [];
  let from = at;
  characters.forEach((character, index) => {
    const next = characters[index + 1];
    const pair = next === undefined ? [] : pairsOf(fold(character + next));
    if (isFound(fold(character))) marks.push([from, from + character.length]);
    if (next !== undefined && pair.some(isFound)) marks.push([from, from + character.length + next.length]);
    from += character.length;
  });
  return marks;
}

/** The places of a folded phrase in a text. */
function placesOf(phrase: string, text: string): readonly Mark[] {
  let folded = "";
  const places: number[] = [];
  let at = 0;
  for (const character of text) {
    const part = /\s/.test(character) ? (folded.endsWith(" ") ? "" : " ") : fold(character);
    for (let index = 0; index < part.length; index++) places.push(at);
    folded += part;
    at += character.length;
  }
  const marks: Mark[] = [];
  for (let from = folded.indexOf(phrase); from !== -1; from = folded.indexOf(phrase, from + phrase.length)) {
    const end = from + phrase.length;
    marks.push([places[from] ?? 0, places[end] ?? text.length]);
  }
  return marks;
}

/** The marks in order; those that touch or overlap are one. */
function joined(marks: readonly Mark[]): readonly Mark[] {
  const result: Mark[] = [];
  for (const [from, to] of marks.toSorted(([a], [b]) => a - b)) {
    const last = result.at(-1);
    if (last !== undefined && from <= last[1]) result[result.length - 1] = [last[0], Math.max(last[1], to)];
    else result.push([from, to]);
  }
  return result;
}
