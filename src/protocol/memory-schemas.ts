/** Schemas of summaries, marks and ratings of turns. */
import { z } from "zod";
import { textCount } from "./schemas.ts";

export const turnInPath: z.ZodType<{ id: string; turn: number }> = z.object({
  id: z.string().min(1).max(4096),
  turn: textCount,
});

export const summarizeBody: z.ZodType<{ to?: number | undefined; agent?: string | undefined }> = z.strictObject({
  to: z.number().optional().meta({ description: "the last turn that the summary covers" }),
  agent: z.string().optional().meta({ description: "the agent whose model and settings are used" }),
});

const usage = z.object({
  inputTokens: z.number(),
  outputTokens: z.number(),
  totalTokens: z.number(),
  cachedTokens: z.number().optional(),
  reasoningTokens: z.number().optional(),
  estimated: z.boolean().optional(),
});

export const summaryAnswer: z.ZodType = z
  .object({
    from: z.number(),
    to: z.number().meta({ description: "the last turn that it covers" }),
    text: z.string(),
    at: z.string(),
    agent: z.string(),
    model: z.string().optional(),
    usage: usage.optional(),
  })
  .meta({ id: "Summary" });

export const summariesAnswer: z.ZodType = z.object({ items: z.array(summaryAnswer) });

export const memoryAnswer: z.ZodType = z.object({
  pinned: z.array(z.number()),
  leftOut: z.array(z.number()),
});

export const changedAnswer: z.ZodType = z.object({ changed: z.boolean() });

const rating = z.union([z.enum(["up", "down"]), z.number()]);

export const ratingBody: z.ZodType<{
  rating: "up" | "down" | number | null;
  comment?: string | undefined;
  by?: string | undefined;
}> = z.strictObject({
  rating: rating.nullable().meta({ description: "null removes the rating" }),
  comment: z.string().optional(),
  by: z.string().optional().meta({ description: "the rater, such as a user or a program that judges answers" }),
});

export const ratingsQuery: z.ZodType<{ turn?: number | undefined }> = z.object({
  turn: textCount.optional().meta({ description: "only ratings of this turn" }),
});

export const ratingsAnswer: z.ZodType = z.object({
  items: z.array(
    z
      .object({
        turn: z.number(),
        rating,
        comment: z.string().optional(),
        by: z.string().nullable(),
        at: z.string(),
      })
      .meta({ id: "Rating" }),
  ),
});
