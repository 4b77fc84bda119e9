/** Stores that break the contract in one way each, all subjects together. */
import type { NamedBreakage } from "./breakage.ts";
import { commitBreakages } from "./commits.ts";
import { documentBreakages } from "./documents.ts";
import { keyBreakages } from "./keys.ts";
import { readBreakages } from "./reads.ts";
import { findBreakages } from "./finds.ts";
import { eventBreakages } from "./events.ts";
import { valueBreakages } from "./values.ts";
import { statsBreakages } from "./stats.ts";
import { instanceBreakages } from "./instances.ts";
import { lifetimeBreakages } from "./lifetime.ts";
import { newsBreakages } from "./news.ts";

export const breakages: readonly NamedBreakage[] = [
  ...commitBreakages,
  ...keyBreakages,
  ...documentBreakages,
  ...readBreakages,
  ...findBreakages,
  ...eventBreakages,
  ...valueBreakages,
  ...statsBreakages,
  ...instanceBreakages,
  ...lifetimeBreakages,
  ...newsBreakages,
];
