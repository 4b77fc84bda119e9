/**
 * Routing by rules. Words are compared whole, without case and accents, with Unicode word boundaries. Each keyword
 * found scores one point per word for its agent. If keywords do not decide, long words score that occur in only one
 * agent's description. The earlier agent wins a tie.
 */
import type { Agent } from "../sessions/options/options.ts";
import type { Router } from "./router.ts";

interface Profile {
  readonly name: string;
  /** Each keyword as a list of words. */
  readonly keywords: readonly (readonly string[])[];
  readonly described: ReadonlySet<string>;
}

/** Shorter words of a description are mostly common words. */
const describedLengthMin = 5;

/** A router by keywords, then by words of the descriptions; it makes no request. */
export function routeByKeywords(): Router {
  let known: { agents: ReadonlyMap<string, Agent>; profiles: readonly Profile[] } | undefined;
  return (text, { agents }) => {
    if (known?.agents !== agents) known = { agents, profiles: profilesOf(agents) };
    const words = wordsOf(text);
    const phrase = ` ${words.join(" ")} `;
    let best: { name: string; keywords: number; described: number } | undefined;
    for (const { name, keywords, described } of known.profiles) {
      const found = keywords.filter((keyword) => phrase.includes(` ${keyword.join(" ")} `));
      const score = {
        name,
        keywords: found.reduce((sum, keyword) => sum + keyword.length, 0),
        described: [...described].filter((word) => phrase.includes(` ${word} `)).length,
      };
      if (score.keywords + score.described > 0 && (best === undefined || isBetter(score, best))) best = score;
    }
    return best?.name ?? null;
  };
}

interface Score {
  readonly keywords: number;
  readonly described: number;
}

function isBetter(score: Score, best: Score): boolean {
  if (score.keywords !== best.keywords) return score.keywords > best.keywords;
  return score.described > best.described;
}

function profilesOf(agents: ReadonlyMap<string, Agent>): readonly Profile[] {
  const profiles = [...agents].map(([name, { description = "", keywords = [] }]) => ({
    name,
    // The same keyword in two spellings counts once.
    keywords: [...new Map(keywords.map(wordsOf).map((words) => [words.join(" "), words])).values()].filter(
      (words) => words.length > 0,
    ),
    described: new Set(wordsOf(description).filter((word) => word.length >= describedLengthMin)),
  }));
  const owners = new Map<string, number>();
  for (const { described } of profiles) for (const word of described) owners.set(word, (owners.get(word) ?? 0) + 1);
  return profiles.map((profile) => ({
    ...profile,
    described: new Set([...profile.described].filter((word) => owners.get(word) === 1)),
  }));
}

/** Created on first use: it takes 8 ms, as long as the rest of `import "perdure"`. */
let segmenter: Intl.Segmenter | undefined;

/** The folded words of a text; a pictogram is a word too. */
function wordsOf(text: string): readonly string[] {
  // A fixed locale, so that a message is routed the same way on every machine.
  segmenter ??= new Intl.Segmenter("en", { granularity: "word" });
  const words: string[] = [];
  for (const { segment, isWordLike } of segmenter.segment(text.normalize("NFC"))) {
    if (isWordLike === true || /\p{Extended_Pictographic}/u.test(segment)) words.push(fold(segment));
  }
  return words;
}

/** Combining marks that writers leave out: accents of Latin, Greek and Cyrillic, vowel points of Hebrew and Arabic. */
const accents = /[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1-\u05c7\u0610-\u061a\u064b-\u065f\u0670]/g;

function fold(word: string): string {
  // Through upper case, so that "ß" equals "ss" and both small sigmas are equal.
  return word.normalize("NFKD").replace(accents, "").toUpperCase().toLowerCase().normalize("NFC");
}
