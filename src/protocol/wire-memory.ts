import type { Rating, Summary } from "../index.ts";

/** A summary. */
export type WireSummary = Omit<Summary, "at"> & { readonly at: string };

export function wireSummary(summary: Summary): WireSummary {
  return { ...summary, at: summary.at.toISOString() };
}

export function summaryOfWire(summary: WireSummary): Summary {
  return { ...summary, at: new Date(summary.at) };
}

/** A rating of a turn. */
export type WireRating = Omit<Rating, "at"> & { readonly at: string };

export function wireRating(rating: Rating): WireRating {
  return { ...rating, at: rating.at.toISOString() };
}

export function ratingOfWire(rating: WireRating): Rating {
  return { ...rating, at: new Date(rating.at) };
}
