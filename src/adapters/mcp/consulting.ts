import type { SessionError } from "../../errors.ts";
import type { Answer } from "../../index.ts";
import type { Approve, Converse } from "../../serving/converse.ts";

/** How a server asks, and what it does beside an answer. */
export interface Consulting {
  readonly converse: Converse;
  readonly approve: Approve;
  /** Tracks an answer that outlives its request. */
  readonly outlive: (answer: Answer) => void;
  readonly report: (error: SessionError) => void;
}
