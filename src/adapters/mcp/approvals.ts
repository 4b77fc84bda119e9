/**
 * The approval of tool calls by the user of a client. A turn that waits for it becomes one request to the client: a form with a
 * yes or no for each call. One request, because a client may answer requests one by one, and the decisions come together.
 */
import { createHash } from "node:crypto";
import type { Decisions, WaitingTurn } from "../../index.ts";
import type { ClientCapabilities } from "./tools/tool.ts";

/** The client can show a form to its user. A client that names no kind of elicitation means forms. */
export function showsForms({ elicitation }: ClientCapabilities): boolean {
  return elicitation !== undefined && (elicitation.form !== undefined || elicitation.url === undefined);
}

/** The requests to the client, by the key of its answer. */
export function approvalRequests(waiting: WaitingTurn): { readonly [key: string]: object } {
  const { calls } = waiting;
  const asked = calls.map(({ function: { name, arguments: args } }) => `${name}(${args})`);
  const fields = calls.map(({ id, function: { name, arguments: args } }) => [
    id,
    { type: "boolean", title: name, description: args, default: false },
  ]);
  const requestedSchema = {
    type: "object",
    properties: Object.fromEntries(fields) as object,
    required: calls.map(({ id }) => id),
  };
  const message = `The agent asks to run ${asked.join(", ")}. Approve?`;
  return {
    [requestKey(waiting)]: { method: "elicitation/create", params: { mode: "form", message, requestedSchema } },
  };
}

/**
 * The decisions of the client's user on the calls of a waiting turn; undefined where the client has not answered its request. A
 * form that was declined or closed refuses all calls.
 */
export function decisionsOf(
  waiting: WaitingTurn,
  responses: { readonly [key: string]: unknown },
): Decisions | undefined {
  const name = requestKey(waiting);
  const response = Object.hasOwn(responses, name) ? responses[name] : undefined;
  if (typeof response !== "object" || response === null) return undefined;
  const { action, content } = response as { readonly action?: unknown; readonly content?: unknown };
  const fields = new Map(action === "accept" ? Object.entries(Object(content) as object) : []);
  const refused = { refused: action === "cancel" ? "the user made no choice" : "the user refused it" };
  return Object.fromEntries(waiting.calls.map(({ id }) => [id, fields.get(id) === true ? true : refused]));
}

/** Unique for each wait, also where the model names its calls the same. The token itself is a secret. */
function requestKey({ token }: WaitingTurn): string {
  return `approval-${createHash("sha256").update(token).digest("hex").slice(0, 16)}`;
}
