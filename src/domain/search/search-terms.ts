/** A query of search: its words and phrases, and the rule that says which texts match. */
import { invalidText } from "../values/invalid-argument.ts";
import { cut, fold, foldedParts, pairsOf, wordsIn, wordsOf } from "./words.ts";

/** A word that a message must have. */
export interface SearchedWord {
  readonly word: string;
  /** Any word that begins with it. */
  readonly isPrefix: boolean;
}

/** A message matches if it has all words, and all phrases as they are written apart from case, diacritics and spaces. */
export interface SearchTerms {
  readonly words: readonly SearchedWord[];
  readonly phrases: readonly string[];
}

/** The most characters of a query. */
export const queryCharactersMax = 1000;

/**
 * The terms of a query: words, "phrases in quotes", and the beginnings of words with a star behind them. All other
 * characters separate words, so no text is a wrong query.
 * @throws SessionError `argument_invalid` for a query with too many characters
 */
export function parseSearch(text: string): SearchTerms {
  if (typeof text !== "string" || text.length > queryCharactersMax)
    throw invalidText("text", text, { max: queryCharactersMax });
  const words = new Map<string, SearchedWord>();
  const phrases = new Set<string>();
  const add = (word: SearchedWord): void => void words.set(`${word.word}${word.isPrefix ? "*" : ""}`, word);
  text.split('"').forEach((part, index, parts) => {
    const isPhrase = index % 2 === 1 && index < parts.length - 1;
    const phrase = isPhrase ? spaced(fold(part)).trim() : "";
    if (phrase !== "") phrases.add(phrase);
    for (const found of part.matchAll(wordsIn(part))) {
      const end = found.index + found[0].length;
      const folded = foldedParts(found[0]);
      folded.forEach(({ text: word, isRun }, place) => {
        const isLast = place === folded.length - 1;
        if (isRun) for (const pair of pairsOf(word)) add({ word: pair, isPrefix: false });
        else add({ word: cut(word), isPrefix: isLast && !isPhrase && part[end] === "*" });
        // Its pairs may stand apart in a text.
        if (isRun && Array.from(word).length > 2) phrases.add(word);
      });
    }
  });
  return { words: [...words.values()], phrases: [...phrases] };
}

/** True if a text has all words and phrases. A query without words matches nothing. */
export function matchesTerms({ words, phrases }: SearchTerms, text: string): boolean {
  if (words.length === 0) return false;
  const own = wordsOf(text);
  if (!words.every((word) => hasWord(own, word))) return false;
  if (phrases.length === 0) return true;
  const folded = spaced(fold(text));
  return phrases.every((phrase) => folded.includes(phrase));
}

function hasWord(own: ReadonlySet<string>, { word, isPrefix }: SearchedWord): boolean {
  if (!isPrefix) return own.has(word);
  for (const one of own) if (one.startsWith(word)) return true;
  return false;
}

/** The text with one space for each run of spaces. */
function spaced(text: string): string {
  return text.replace(/\s+/g, " ");
}
