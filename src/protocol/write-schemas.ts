/** Schemas of turns, named logs, fields of sessions and documents in writes, and of what reads of named logs send. */
import { z } from "zod";
import type { Onto } from "../domain/writes/named-logs.ts";
import type { Metadata, Seal, Seen, SessionPatch, SessionWrite, TurnInput, Value, WriteKey } from "../index.ts";
import { scopedDocuments, versions } from "./document-schemas.ts";
import {
  agentName,
  anything,
  budget,
  duration,
  instant,
  labelPatch,
  lifetime,
  message,
  metadata,
  sessionAnswer,
  title,
  turnAnswer,
  waitingAnswer,
} from "./schemas.ts";

const turnFields = {
  input: message,
  output: message.optional(),
  agent: agentName.optional(),
  model: z.string().optional(),
  usage: z
    .strictObject({
      inputTokens: z.number().nullish(),
      outputTokens: z.number().nullish(),
      totalTokens: z.number().nullish(),
      cachedTokens: z.number().nullish(),
      reasoningTokens: z.number().nullish(),
      estimated: z.literal(true).optional(),
    })
    .optional(),
  durationMs: z.number().optional(),
  requests: z.number().optional(),
  status: z.enum(["done", "failed", "interrupted"]).optional(),
  finish: z.string().optional(),
};

/** A finished turn. A field that is absent in JSON is absent in the parsed body. */
export const turnBody: z.ZodType<TurnInput> = z.strictObject(turnFields) as z.ZodType as z.ZodType<TurnInput>;

const { output, agent, model, usage, requests, status, finish } = turnFields;

/** The token of a turn that waits, and how it is sealed. */
export const sealBody: z.ZodType<Seal & { readonly token: string }> = z.strictObject({
  token: z.string().max(256),
  output,
  agent,
  model,
  usage,
  requests,
  status,
  finish,
  steps: anything<Seal["steps"]>({ type: "array", description: "the usage of each model call" }).optional(),
  error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
}) as z.ZodType as z.ZodType<Seal & { readonly token: string }>;

/** A finished turn with its idempotency key. */
export const keyedTurnBody: z.ZodType<TurnInput & WriteKey> = z.strictObject({
  ...turnFields,
  key: z.string().optional(),
}) as z.ZodType as z.ZodType<TurnInput & WriteKey>;

/** Fields of a session to change. JSON has no `undefined`, so metadata to remove is listed. */
export type PatchBody = Omit<SessionPatch, "metadata"> & {
  readonly metadata?: Metadata;
  readonly removeMetadata?: readonly string[];
};

const patch = z.strictObject({
  title: title.optional(),
  labels: labelPatch.optional(),
  metadata: metadata.optional(),
  removeMetadata: z.array(z.string()).max(1000).optional().meta({ description: "keys of metadata to remove" }),
  user: z.string().nullable().optional(),
  agent: agentName
    .optional()
    .meta({ description: "the session's agent, from the next turn on; replaces the stored instructions" }),
  instructions: z.string().optional(),
  ttl: lifetime.optional(),
  maxAge: duration.nullable().optional(),
  budget: budget.nullable().optional(),
});

export const patchBody: z.ZodType<PatchBody> = patch as z.ZodType as z.ZodType<PatchBody>;

/** The state that a write was decided on. A schema of a record would lose some names of the marks. */
const onto = z.union([
  z.number(),
  z.strictObject({
    version: z.number(),
    marks: anything<Exclude<Onto, number>["marks"]>({
      type: "object",
      description: "the marks of the logs, as GET …/look sends them",
      additionalProperties: { type: "string" },
    }),
  }),
]);

/** The library checks entries and names of logs, and names what is wrong. */
const logs = anything<NonNullable<SessionWrite["logs"]>>({
  type: "object",
  description: "entries to write, by the names of the logs",
  examples: [{ facts: { entries: [{ key: "city", value: "Paris", ifPresent: "replace" }] } }],
  additionalProperties: {
    type: "object",
    required: ["entries"],
    additionalProperties: false,
    properties: {
      from: { type: "integer", minimum: 1, description: "the first entry to replace, with all behind it" },
      entries: {
        type: "array",
        items: {
          type: "object",
          required: ["value"],
          additionalProperties: false,
          properties: {
            key: { type: "string", description: "unique in the log" },
            value: { description: "any JSON value; values that JSON lacks are tagged" },
            ifPresent: {
              enum: ["refuse", "skip", "replace"],
              description: "what becomes of the entry if its key is in the log",
            },
          },
        },
      },
    },
  },
});

const writeFields = {
  turns: z
    .strictObject({
      from: z.number().optional().meta({ description: "the first turn to replace, with all behind it" }),
      turns: z.array(keyedTurnBody),
      amends: z.boolean().optional().meta({ description: "the first turn is a later version of the last one" }),
      keep: z.boolean().optional().meta({ description: "a branch keeps the turns that are replaced" }),
      wait: z
        .strictObject({
          state: anything<Value>({ description: "the data that the resumer needs; any JSON value" }),
          reason: z.string(),
          expires: duration.optional(),
        })
        .optional()
        .meta({ description: "the last turn waits" }),
    })
    .optional(),
  logs: logs.optional(),
  set: patch.optional().meta({ description: "fields of the session to change" }),
  documents: scopedDocuments.optional(),
  onto: onto.optional().meta({
    description: "what the write was decided on: a version of the session, or the version and the marks of a look",
  }),
};

/** A write, with its fields as JSON has them. */
export type WriteBody = Omit<SessionWrite, "set"> & { readonly set?: PatchBody };

export const writeBody: z.ZodType<WriteBody & { readonly seen?: Seen }> = z.strictObject({
  ...writeFields,
  seen: z
    .strictObject({ version: z.number(), commitId: z.string(), turn: z.number() })
    .optional()
    .meta({ description: "the field seen of the session that the client has read" }),
}) as z.ZodType as z.ZodType<WriteBody & { readonly seen?: Seen }>;

export const writesBody: z.ZodType<{ writes: (WriteBody & { readonly id: string })[] }> = z.strictObject({
  writes: z.array(z.strictObject({ id: z.string(), ...writeFields })),
}) as z.ZodType as z.ZodType<{ writes: (WriteBody & { readonly id: string })[] }>;

const logEntry = z
  .object({
    seq: z.number(),
    key: z.string().nullable(),
    at: instant,
    value: z.unknown().meta({ description: "what was written; in the log turns a turn" }),
  })
  .meta({ id: "LogEntry" });

const writeResult = z.object({
  status: z.literal("ok"),
  version: z.number(),
  turns: z.array(turnAnswer),
  waiting: waitingAnswer.optional().meta({ description: "the turn that waits" }),
  logs: z.record(
    z.string(),
    z.object({
      seqs: z.array(z.number().nullable()).meta({ description: "for each entry; null for one that was left out" }),
      end: z.number(),
    }),
  ),
  documents: versions.optional(),
});

const duplicate = z
  .object({ status: z.literal("duplicate"), log: z.string(), entry: logEntry })
  .meta({ description: "a key is in its log already; nothing was written" });

export const outcomeAnswer: z.ZodType = z.union([writeResult, duplicate]);

export const outcomesAnswer: z.ZodType = z.union([
  z.object({ status: z.literal("ok"), writes: z.array(writeResult) }),
  duplicate.extend({ id: z.string().meta({ description: "the session whose log has the key" }) }),
]);

export const lookAnswer: z.ZodType = z.object({
  version: z.number(),
  info: sessionAnswer,
  tails: z.array(z.array(logEntry)),
  marks: z.record(z.string(), z.string()).meta({ description: "the last change of each of the logs" }),
});

export const logsAnswer: z.ZodType = z.object({ items: z.array(z.object({ name: z.string(), end: z.number() })) });

export const entriesAnswer: z.ZodType = z.object({
  items: z.array(logEntry),
  next: z
    .union([z.number(), z.string()])
    .optional()
    .meta({ description: "pass it as after, beside the same parameters, to get the next page" }),
});
