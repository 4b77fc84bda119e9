/** What the check of the newest messages has shown, where they do not fill a page. */
export interface Checked {
  /** The messages that were checked. */
  readonly rows: number;
  /** Those among them that have the words, whatever session they are of. */
  readonly matched: number;
  /** The time of the newest one, epoch ms. */
  readonly from: number;
  /** The time of the first one behind them, epoch ms. */
  readonly to: number;
  /** The rows of the index, about. */
  readonly total: number;
}

/** Where a search looks next. */
export type Way =
  /** In so many of the newest messages. */
  | { readonly kind: "newest"; readonly rows: number }
  /** In the index of words, for messages from an instant on: the server intersects it with the index by time. */
  | { readonly kind: "since"; readonly at: number }
  /** In the index of words. */
  | { readonly kind: "all" };

/** The server's time for a message, µs: of about a million messages of 25 words. */
const costs = {
  /** To check the words of one by time. */
  checked: 0.4,
  /** To find one in the index by time. */
  byTime: 0.08,
  /** To find one in the index of words. */
  byWords: 0.2,
  /** To pass over one in the list of a frequent word, for the messages of another word. */
  passed: 0.02,
  /** To read one that the index of words has found, often from a page that is not in the server's memory. */
  read: 6,
} as const;

/** It looks at so many times the messages that fill the page if the words are spread evenly. */
const spare = 1.5;

/**
 * The cheapest way to fill the page, if the words and the sessions are spread as in the messages that were checked. Where they
 * are not, the search ends with `all`, so a wrong guess costs less than twice the time.
 */
export function nextWay(
  checked: Checked,
  { limit, shown, words }: { readonly limit: number; readonly shown: number; readonly words: number },
): Way {
  const { rows, matched, from, to, total } = checked;
  const part = matched / rows;
  const looked = Math.ceil((spare * rows * (limit + 1)) / Math.max(shown, 0.5));
  if (looked >= total) return { kind: "all" };
  // Of several words one is often frequent: the server passes over its whole list.
  const indexed = (costs.byWords * part + (words > 1 ? costs.passed : 0)) * total;
  const ways: readonly (readonly [cost: number, way: Way])[] = [
    [indexed + costs.read * part * total, { kind: "all" }],
    [costs.checked * looked, { kind: "newest", rows: looked }],
    [
      costs.byTime * looked + indexed + costs.read * part * looked,
      { kind: "since", at: Math.floor(from - ((from - to) * looked) / rows) },
    ],
  ];
  return ways.toSorted(([a], [b]) => a - b)[0]?.[1] ?? { kind: "all" };
}
