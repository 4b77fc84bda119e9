/** What a session has beside its turns: its memory, its ratings, its attachments and its shares. */
import { call, sessionPath } from "../http/api.ts";

export interface Summary {
  readonly from: number;
  /** The last turn that it covers. */
  readonly to: number;
  readonly text: string;
  readonly at: string;
  readonly agent: string;
}

export interface Rating {
  readonly turn: number;
  readonly rating: "up" | "down" | number;
  readonly comment?: string;
  readonly by: string | null;
  readonly at: string;
}

export interface Attachment {
  readonly hash: string;
  readonly type: string;
  readonly length: number;
  readonly name?: string;
}

export interface Share {
  readonly id: string;
  readonly createdAt: string;
  readonly expiresAt: string;
}

export interface SessionParts {
  /** Turns that models are shown however old they are. */
  readonly pinned: readonly number[];
  /** Turns that no model is shown. */
  readonly leftOut: readonly number[];
  /** The one that covers most first. */
  readonly summaries: readonly Summary[];
  readonly ratings: readonly Rating[];
  readonly attachments: readonly Attachment[];
  readonly shares: readonly Share[];
}

/** @throws Problem */
export async function partsOf(id: string, signal: AbortSignal): Promise<SessionParts> {
  const get = async <Answer>(rest: string): Promise<Answer> => await call<Answer>(sessionPath(id, rest), { signal });
  const list = async <Item>(rest: string): Promise<readonly Item[]> => (await get<{ items: Item[] }>(rest)).items;
  const [memory, summaries, ratings, attachments, shares] = await Promise.all([
    get<Pick<SessionParts, "pinned" | "leftOut">>("/memory"),
    list<Summary>("/summaries"),
    list<Rating>("/ratings"),
    list<Attachment>("/attachments"),
    list<Share>("/shares"),
  ]);
  return { ...memory, summaries, ratings, attachments, shares };
}
