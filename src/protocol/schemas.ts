/**
 * Schemas shared by requests and responses. They check requests and describe both in `/openapi.json`. The library
 * checks stored values (messages, metadata, ids); these schemas pass them unchanged.
 */
import { z } from "zod";
import type { Decisions, Budget, BusyPolicy, LabelPatch, Labels, Metadata, MessageInput } from "../index.ts";

export const agentName: z.ZodType<string> = z.string().min(1).max(256).meta({ description: "the name of an agent" });

export const duration: z.ZodType<string | number> = z.union([z.string().max(40), z.number()]).meta({
  description: 'milliseconds, or a text such as "15m", "24h" or "7d"',
  examples: ["24h"],
});

export const lifetime: z.ZodType<string | number> = z.union([z.string().max(40), z.number()]).meta({
  description: 'how long the session lives after its last activity: milliseconds, a text such as "30d", or "never"',
  examples: ["never", "30d"],
});

export const budget: z.ZodType<Budget> = z
  .strictObject({ tokens: z.number().int().min(0).optional(), turns: z.number().int().min(0).optional() })
  .meta({
    description: "usage limits of the session; the turn that reaches one is the last",
  }) as z.ZodType as z.ZodType<Budget>;

export const title: z.ZodType<string | null> = z.string().nullable().meta({
  description: "a text for people, at most 256 characters; null: none",
});

export const labels: z.ZodType<Labels> = anything<Labels>({
  type: "object",
  description: "at most 16 names of up to 64 characters with texts of up to 256, which lists filter by",
  examples: [{ team: "ops" }],
});

export const labelPatch: z.ZodType<LabelPatch> = anything<LabelPatch>({
  type: "object",
  description: "labels to set; null removes a label",
  examples: [{ team: "ops", draft: null }],
});

export const metadata: z.ZodType<Metadata> = anything<Metadata>({
  type: "object",
  description: "data of the application, stored with the session",
});

export const message: z.ZodType<MessageInput> = anything<MessageInput>({
  type: ["string", "object", "array"],
  description: "a text, a message {role, content, …} as model providers know it, or several",
  examples: ["Shall we buy a second oven?"],
});

export const anyJson: z.ZodType = anything<unknown>({ description: "any JSON value" });

/** Passes a value unchanged, with a description: a schema of its own would copy it, and lose some keys. */
export function anything<T>(description: Readonly<Record<string, unknown>>): z.ZodType<T> {
  return z.unknown().meta(description) as z.ZodType as z.ZodType<T>;
}

export const busyPolicy: z.ZodType<BusyPolicy> = z.enum(["reject", "queue", "interrupt", "take-over"]).meta({
  description:
    'policy if the session is already answering (default: that of the server; else "interrupt" for devices, "reject" for keys)',
});

/** A number in a query or a path, sent as text. In a body it would take null and "" as 0: {@link count}. */
export const textCount: z.ZodType<number> = z.coerce.number().int().min(0).max(1_000_000);

/** A number in a body. */
export const count: z.ZodType<number> = z.number().int().min(0).max(1_000_000);

export const instant: z.ZodType<string> = z.iso.datetime({ offset: true });

/** An id in a path. The library checks it and reports why it is invalid. */
export const idInPath: z.ZodType<{ id: string }> = z.object({ id: z.string().min(1).max(4096) });

export const turnAnswer: z.ZodType = z
  .object({
    seq: z.number(),
    key: z.string().nullable(),
    at: instant,
    status: z.enum(["open", "waiting", "done", "failed", "interrupted"]),
    agent: agentName,
    model: z.string().optional(),
    input: z.array(z.unknown()),
    output: z.array(z.unknown()),
    usage: z.unknown().optional(),
    requests: z.number(),
    durationMs: z.number().optional(),
    waitedMs: z.number().optional().meta({ description: "how long it waited to be resumed, ms" }),
    steps: z
      .array(z.looseObject({}))
      .optional()
      .meta({ description: "usage of each model call, if the turn had several" }),
    finish: z.string().optional().meta({ description: "why the answer ended, such as stop or length" }),
    error: z.object({ code: z.string(), message: z.string() }).optional(),
  })
  .meta({ id: "Turn" });

const range = {
  last: textCount.optional(),
  from: textCount.optional(),
  to: textCount.optional(),
  before: textCount
    .optional()
    .meta({ description: "only entries before this number: the page before an earlier page" }),
};

export const rangeQuery: z.ZodType<{
  last?: number | undefined;
  from?: number | undefined;
  to?: number | undefined;
  before?: number | undefined;
}> = z.object(range);

const branchId = z.string().min(1).max(16);

export const turnsQuery: z.ZodType<{
  last?: number | undefined;
  from?: number | undefined;
  to?: number | undefined;
  before?: number | undefined;
  branch?: string | undefined;
}> = z.object({
  ...range,
  branch: branchId.optional().meta({ description: "the turns of this branch instead of the current one" }),
});

export const branchBody: z.ZodType<{ branch: string }> = z.strictObject({ branch: branchId });
export const branchInPath: z.ZodType<{ id: string; branch: string }> = z.object({ id: z.string(), branch: branchId });
export const branchesQuery: z.ZodType<{ at?: number | undefined }> = z.object({
  at: textCount.optional().meta({ description: "only the versions of this turn" }),
});
export const comparisonQuery: z.ZodType<{ a: string; b: string }> = z.object({ a: branchId, b: branchId });
export const comparisonAnswer: z.ZodType = z.object({
  shared: z.number().meta({ description: "the number of turns that both branches have" }),
});
export const branchesAnswer: z.ZodType = z.object({
  items: z.array(
    z
      .object({
        id: z.string(),
        isCurrent: z.boolean(),
        at: z.number().meta({ description: "the turn that the branch has a version of its own of" }),
        index: z.number().meta({ description: "which version of that turn it has, from 1" }),
        count: z.number().meta({ description: "the number of versions of that turn" }),
        turns: z.number(),
        messages: z.number(),
        lastActivityAt: z.string(),
      })
      .meta({ id: "Branch" }),
  ),
});

/** The field of a page of the last entries that names the page before it. */
export const beforePage: z.ZodType = z
  .number()
  .optional()
  .meta({ description: "pass it as before to get the entries before this page; absent on the first page" });

export const unreadableEntries: z.ZodType = z
  .array(z.object({ seq: z.number(), reason: z.string() }))
  .optional()
  .meta({ description: "the entries of the page that cannot be read" });

export const turnsAnswer: z.ZodType = z.object({
  items: z.array(turnAnswer),
  unreadable: unreadableEntries,
  next: z.number().optional().meta({ description: "pass it as from to get the remaining turns" }),
  before: beforePage,
});

export const activeAgentAnswer: z.ZodType = z
  .object({ agent: agentName, since: instant, expiresAt: instant, note: z.string().nullable() })
  .meta({ id: "ActiveAgent", description: "the agent that answers until expiresAt" });

/** The body of `PUT …/active-agent`. */
export interface HandoffBody {
  agent: string;
  ttlSeconds?: number | undefined;
  note?: string | undefined;
}

const ttlSeconds = z.number().min(0.001).max(3_153_600_000).optional().meta({
  description:
    "duration of the handoff, in seconds: an hour is 3600, a week 604800 (default: handoffTtl of the server)",
});

export const handoffBody: z.ZodType<HandoffBody> = z.strictObject({
  agent: agentName,
  ttlSeconds,
  note: z.string().optional().meta({ description: "a note that the agent reads with its first message" }),
});

/** A device sends no note: the agent would read it as an instruction. */
export const deviceHandoffBody: z.ZodType<Omit<HandoffBody, "note">> = z.strictObject({ agent: agentName, ttlSeconds });

export const sessionAnswer: z.ZodType = z
  .object({
    id: z.string(),
    tenant: z.string(),
    state: z.enum(["active", "inactive", "expired", "ended", "archived"]),
    agent: agentName,
    user: z.string().nullable(),
    title: z.string().nullable(),
    labels: z.record(z.string(), z.string()),
    metadata: z.looseObject({}),
    createdAt: instant,
    lastActivityAt: instant,
    expiresAt: instant.nullable().meta({ description: "null if the session does not expire" }),
    activeAgent: activeAgentAnswer.nullable(),
    turn: z.number().meta({ description: "the number of the last turn" }),
    counters: z.looseObject({}),
    budget: budget.nullable(),
    version: z.number(),
    commitId: z.string(),
    seen: z.object({ version: z.number(), commitId: z.string(), turn: z.number() }),
    logs: z
      .record(z.string(), z.object({ end: z.number() }))
      .meta({ description: "the named logs, and the number of the last entry of each" }),
    waiting: z.number(),
    waitingTurn: z
      .object({ turn: z.number(), reason: z.string(), since: instant, expiresAt: instant.nullable() })
      .nullable()
      .meta({ description: "the turn that waits to be resumed" }),
    legalHold: z.object({ reason: z.string(), since: instant }).nullable(),
    parent: z.object({ id: z.string(), turn: z.number() }).nullable(),
    archive: z.object({ bytes: z.number(), packedBytes: z.number() }).nullable(),
  })
  .meta({ id: "Session" });

export const receiptAnswer: z.ZodType = z
  .object({
    format: z.literal("perdure.erasure/2"),
    tenant: z.string(),
    subject: z.string().meta({ description: "a keyed hash of the user" }),
    store: z.string().nullable(),
    startedAt: instant,
    finishedAt: instant,
    erased: z.object({
      sessions: z.number(),
      forks: z.number(),
      archives: z.number(),
      turns: z.number(),
      events: z.number(),
      devices: z.number(),
      codes: z.number(),
      documents: z.number().optional().meta({ description: "documents that named the user" }),
      outbox: z.number(),
    }),
    legalHold: z.number().meta({ description: "sessions under legal hold, which were not erased" }),
    sharedForks: z
      .object({ count: z.number(), legalHold: z.number(), ids: z.array(z.string()) })
      .meta({ description: "forks of other users, or under legal hold, that still contain turns of the user" }),
    scrubbed: z.boolean(),
    hash: z.string(),
    signature: z.string(),
  })
  .meta({ id: "ErasureReceipt" });

export const chatAnswer: z.ZodType = z
  .object({ session: z.string(), durable: z.boolean(), text: z.string(), turn: turnAnswer })
  .meta({ id: "Answer" });

export const decisions: z.ZodType<Decisions> = z
  .record(z.string(), z.union([z.literal(true), z.strictObject({ refused: z.string() })]))
  .meta({ description: "by the id of the call: true runs the tool, { refused } tells the model why not" });

export const approveBody: z.ZodType<{ token: string; decisions: z.infer<typeof decisions> }> = z.strictObject({
  token: z.string().max(256),
  decisions,
});

export const waitingAnswer: z.ZodType = z
  .object({
    turn: z.number(),
    reason: z.string(),
    since: instant,
    expiresAt: instant.nullable(),
    token: z.string(),
    output: z.array(z.unknown()),
    calls: z.array(z.unknown()).meta({ description: "the tool calls to approve" }),
    state: z.unknown().optional().meta({ description: "for the resumer; absent for devices" }),
  })
  .meta({ id: "WaitingTurn" });

/** The query of a stream of an answer: browsers send no header with the first request of an EventSource. */
export const streamQuery: z.ZodType<{ lastEventId?: string | undefined }> = z.object({
  lastEventId: z.string().max(40).optional().meta({ description: "as the header Last-Event-ID, which goes first" }),
});

export const streamAnswers: Readonly<Record<200 | 204, { description: string; schema?: z.ZodType; streams?: true }>> = {
  200: { description: "the answer, from where the stream was lost", schema: chatAnswer, streams: true },
  204: { description: "no answer runs" },
};

export const problemAnswer: z.ZodType = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number(),
    detail: z.string(),
    code: z.string(),
    details: z.looseObject({}).optional(),
    instance: z.string().optional(),
  })
  .meta({ id: "Problem", description: "an error in the format of RFC 9457; callers branch on its code" });

const total = z.number().int();

export const hostAnswer: z.ZodType = z
  .object({
    memoryBytes: total.meta({ description: "memory of the host's process" }),
    metrics: z.object({
      total: total.meta({ description: "sessions in the store that a message can activate" }),
      active: total.meta({ description: "sessions that run in this host" }),
      sleeping: total.meta({ description: "sessions that a host has passivated" }),
      recovered: total.meta({ description: "sessions that eager recoveries of this host activated" }),
      durable: z.boolean().meta({ description: "whether the store keeps sessions when the process ends" }),
      live: total.meta({ description: "sessions that occupy a slot" }),
      liveMax: total,
      waiting: total.meta({ description: "sessions that wait for a slot" }),
      byPhase: z.record(z.string(), total),
      byAgent: z.record(z.string(), total),
      mailbox: total.meta({ description: "messages that wait in mailboxes" }),
      counts: z.record(z.string(), total).meta({ description: "events since the start of the host, by type" }),
      requestsMs: z.number().meta({ description: "sum of the durations of messages and reported requests" }),
      rejected: total,
      timers: total,
      workers: z.array(total.nullable()).meta({ description: "heap of each worker, in bytes" }),
    }),
    items: z.array(
      z
        .object({
          id: z.string(),
          tenant: z.string(),
          phase: z.enum(["starting", "live", "restarting", "failed", "stopping", "gone"]),
          agent: agentName.optional(),
          mailbox: total,
          restarts: total,
          requests: total.meta({ description: "since activation: messages answered, and requests reported" }),
          requestsMs: z.number(),
          ageMs: z.number(),
          idleMs: z.number(),
          memoryBytes: total.optional().meta({ description: "heap of its own thread or process, in bytes" }),
          failure: z.string().optional(),
        })
        .meta({ id: "LiveSession" }),
    ),
    next: z.string().optional().meta({ description: "pass it as after for the next page" }),
  })
  .meta({ id: "Host" });

/** A page of messages that a search found. */
export const foundAnswer: z.ZodType = z.object({
  items: z.array(
    z
      .object({
        session: z.string(),
        title: z.string().nullable(),
        agent: agentName,
        user: z.string().nullable(),
        turn: z.number().nullable().meta({ description: "null: the title of the session was found" }),
        message: z.number().meta({ description: "the place of the message in its turn, from 0" }),
        role: z.string().nullable(),
        at: instant,
        snippet: z.object({
          text: z.string(),
          marks: z.array(z.tuple([z.number(), z.number()])).meta({
            description: "what was found: the places of the first character and of the one behind the last",
          }),
        }),
      })
      .meta({ id: "FoundText" }),
  ),
  next: z.string().optional(),
  isCurrent: z.boolean().meta({ description: "false: messages may be missing that are not indexed yet" }),
});
