/**
 * Words of a text, as search finds them. Stores keep these words and nothing else, so all stores find the same messages.
 *
 * - A word is a run of letters and numbers. Case and diacritics do not count. An emoji is a word.
 * - A name in camel case has its parts as words too.
 * - A run of a script without spaces has each of its characters as a word, and each pair of neighbours.
 */
import { invalidText } from "../values/invalid-argument.ts";

/** The searched characters of a message; words behind them are not found. */
export const searchedCharactersMax = 100_000;
/** The characters of a word that count. */
const wordCharactersMax = 64;

const wordPattern = /[\p{L}\p{N}\p{M}]+|\p{Extended_Pictographic}/gu;
const asciiWordPattern = /[A-Za-z0-9]+/g;
const betweenAsciiWords = /[^a-z0-9]+/g;
/** Has more characters than count. */
const longWordPattern = /[A-Za-z0-9]{65}/;
const camelPattern = /[a-z][A-Z]/;
const camelPartPattern = /[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+/g;
const runPattern =
  /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}ー]+/gu;
const diacritics = /[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f]/g;
/** Compatibility forms bring punctuation, such as the parentheses of a number within them. */
// eslint-disable-next-line no-control-regex
const asciiPunctuation = /[\0-/:-@[-`{-\x7f]/g;
// eslint-disable-next-line no-control-regex
const asciiPattern = /^[\0-\x7f]*$/;

/** The words of a text, each once. @throws SessionError `argument_invalid` */
export function wordsOf(text: string): Set<string> {
  if (typeof text !== "string") throw invalidText("text", text, {});
  const searched = text.slice(0, searchedCharactersMax);
  const words = asciiPattern.test(searched) ? asciiWords(searched) : otherWords(searched);
  if (camelPattern.test(searched)) addCamelParts(searched, words);
  return words;
}

/** The words of a text with spaces between them. A word may be there twice. */
export function spacedWords(text: string): string {
  const searched = text.slice(0, searchedCharactersMax);
  // Most texts are ASCII, and have their words as they are. A set of these takes twice the time.
  const isPlain = asciiPattern.test(searched) && !camelPattern.test(searched) && !longWordPattern.test(searched);
  return isPlain ? searched.toLowerCase().replace(betweenAsciiWords, " ").trim() : [...wordsOf(text)].join(" ");
}

/** Most texts are ASCII. Their words are folded by the case alone, a third of the time of {@link otherWords}. */
function asciiWords(text: string): Set<string> {
  const words = new Set<string>();
  for (const word of text.toLowerCase().match(asciiWordPattern) ?? []) words.add(cut(word));
  return words;
}

function otherWords(searched: string): Set<string> {
  const words = new Set<string>();
  for (const [word] of searched.matchAll(wordsIn(searched)))
    for (const part of foldedParts(word)) {
      if (part.isRun) addRun(part.text, words);
      else words.add(cut(part.text));
    }
  return words;
}

/** The pattern of the words of a text; most texts are ASCII, whose pattern is faster. */
export function wordsIn(text: string): RegExp {
  return asciiPattern.test(text) ? asciiWordPattern : wordPattern;
}

/** A part of a word: a run of a script without spaces, or another word. */
interface WordPart {
  readonly text: string;
  readonly isRun: boolean;
}

/** The folded parts of a word, in order. */
export function foldedParts(word: string): readonly WordPart[] {
  const text = fold(word).replace(asciiPunctuation, "");
  const parts: WordPart[] = [];
  let from = 0;
  if (!asciiPattern.test(text)) {
    for (const { 0: run, index } of text.matchAll(runPattern)) {
      if (index > from) parts.push({ text: text.slice(from, index), isRun: false });
      parts.push({ text: run, isRun: true });
      from = index + run.length;
    }
  }
  if (from < text.length) parts.push({ text: text.slice(from), isRun: false });
  return parts;
}

/** A text without case, diacritics and forms of compatibility. */
export function fold(text: string): string {
  if (asciiPattern.test(text)) return text.toLowerCase();
  return text.normalize("NFKD").replace(diacritics, "").normalize("NFC").toLowerCase();
}

/** The characters that count of a word. */
export function cut(word: string): string {
  return word.length <= wordCharactersMax ? word : Array.from(word).slice(0, wordCharactersMax).join("");
}

/** The neighbours in a run; the character alone where it has none. */
export function pairsOf(run: string): readonly string[] {
  const characters = Array.from(run);
  if (characters.length < 2) return characters;
  return characters.slice(1).map((character, index) => `${characters[index] ?? ""}${character}`);
}

function addRun(run: string, words: Set<string>): void {
  for (const character of run) words.add(character);
  for (const pair of pairsOf(run)) words.add(pair);
}

function addCamelParts(text: string, words: Set<string>): void {
  for (const [name] of text.matchAll(asciiWordPattern)) {
    if (!camelPattern.test(name)) continue;
    for (const [part] of name.matchAll(camelPartPattern)) words.add(cut(part.toLowerCase()));
  }
}
