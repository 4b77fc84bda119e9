/** A tool: its description, and a call of it. A call that fails is a result with the problem, which a model can read. */
import { z } from "zod";
import type { SessionError } from "../../../errors.ts";
import type { Answer, KeyRight, Sessions } from "../../../index.ts";
import { problemOf } from "../../../protocol/problem.ts";
import { guardRight } from "../../../serving/bearer.ts";
import type { Approve, Converse } from "../../../serving/converse.ts";
import { checked, guardFields } from "../../../serving/known-fields.ts";
import { asSessionError } from "../../../serving/thrown.ts";
import type { Plain } from "./shown.ts";

/** The caller of a tool, as its key or its connection makes it. */
export interface Caller {
  /** The sessions of its tenant. */
  readonly sessions: Sessions;
  readonly right: KeyRight;
  /** Keeps a serverless host alive until the work settles. */
  readonly waitUntil: (work: Promise<unknown>) => void;
}

/** How a server asks, and what it does beside an answer. */
export interface Consulting {
  readonly converse: Converse;
  readonly approve: Approve;
  /** Tracks an answer that outlives its request. */
  readonly outlive: (answer: Answer) => void;
  readonly report: (error: SessionError) => void;
}

/** The context of a request, as the package hands it to a handler. */
export interface McpContext {
  readonly mcpReq: {
    readonly _meta?: { readonly progressToken?: string | number };
    /** The reserved fields of a request of the revision 2026-07-28. */
    readonly envelope?: { readonly [name: string]: unknown };
    /** The client's answers to the requests of an `input_required` result. */
    readonly inputResponses?: { readonly [key: string]: unknown };
    /** Aborts when the client cancels the request or leaves; also after a normal end. */
    readonly signal: AbortSignal;
    notify(notification: { readonly method: string; readonly params: object }): Promise<void>;
  };
}

/** A call of a tool. */
export interface ToolCall extends Caller {
  readonly context: McpContext;
  /** The capabilities that the client declares. */
  readonly client: ClientCapabilities;
}

/** The capabilities of a client that change an answer. */
export interface ClientCapabilities {
  readonly elicitation?: { readonly form?: object; readonly url?: object };
  readonly extensions?: { readonly [name: string]: unknown };
}

/** What a client may assume of a tool before it calls it. */
interface Annotations {
  readonly readOnlyHint: boolean;
  readonly destructiveHint?: boolean;
  readonly idempotentHint?: boolean;
}

/** A tool with the schemas of its arguments and its result. */
export interface SessionTool {
  readonly name: string;
  /** The tool as a list of tools gives it. */
  readonly listed: () => object;
  /** @throws never: a failure is a result */
  readonly call: (args: unknown, call: ToolCall, report: (error: SessionError) => void) => Promise<object>;
}

/** A tool, and its work. */
interface ToolWork<Input> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** The right that its caller needs. */
  readonly right: KeyRight;
  readonly annotations: Annotations;
  readonly input: z.ZodType<Input>;
  readonly output: z.ZodType;
  readonly run: (input: Input, call: ToolCall) => Promise<object>;
}

export function sessionTool<Input>(work: ToolWork<Input>): SessionTool {
  const { name, title, description, right, annotations, input, output, run } = work;
  let listed: object | undefined;
  return {
    name,
    listed: () =>
      (listed ??= {
        name,
        title,
        description,
        inputSchema: jsonSchema(input, "input"),
        outputSchema: jsonSchema(output, "output"),
        // Sessions are a closed world; the model that answers there is reached by the server.
        annotations: { title, ...annotations, openWorldHint: false },
      }),
    async call(args = {}, call, report) {
      try {
        guardRight(call, right);
        guardFields(input, args, "arguments");
        return await run(checked(input, args, "arguments"), call);
      } catch (error) {
        return failed(error, report);
      }
    },
  };
}

function jsonSchema(schema: z.ZodType, io: "input" | "output"): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}

/** A result: the value for programs, and a text for models. */
export function result(structuredContent: Plain, text: string = JSON.stringify(structuredContent)): object {
  return { content: [{ type: "text", text }], structuredContent };
}

/** The result of a failed call: its problem, as over HTTP, and the value that stands. */
export function failed(
  thrown: unknown,
  report: (error: SessionError) => void,
  structuredContent?: Plain,
): { readonly isError: true; readonly content: readonly object[]; readonly structuredContent?: Plain } {
  const requestId = crypto.randomUUID();
  const error = asSessionError(thrown, requestId);
  if (error.status >= 500) report(error);
  const problem = { ...problemOf(error, { requestId, audience: "operator" }), retryable: error.retryable };
  const content = [{ type: "text", text: JSON.stringify(problem) }];
  return structuredContent === undefined ? { isError: true, content } : { isError: true, content, structuredContent };
}
