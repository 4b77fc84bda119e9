/**
 * The last message of the assistant as a client sends it again: with results of its own tools, and with decisions on calls
 * that need approval. Nothing else is taken from it.
 */
import { sameValue, type Value } from "../../index.ts";
import { fieldsOf, isToolPart, type AnyUiMessage, type Fields, type UiPart } from "./ui-message.ts";

/** The stored message with what the client has added; `conflict` where the client decided on a call that is settled otherwise. */
export type Growth =
  | { readonly status: "grown" | "same"; readonly message: AnyUiMessage }
  | { readonly status: "conflict"; readonly toolCallId: string };

/** `isOwn`: true for a tool that runs on the server, whose results are not taken from a client. */
export function grow(stored: AnyUiMessage, given: AnyUiMessage, isOwn: (tool: string) => boolean): Growth {
  const sent = new Map(given.parts.filter(isToolPart).map((part) => [fieldsOf(part)["toolCallId"], fieldsOf(part)]));
  let status: "grown" | "same" = "same";
  const parts: UiPart[] = [];
  for (const part of stored.parts) {
    const known = fieldsOf(part);
    const toolCallId = known["toolCallId"];
    const news = isToolPart(part) ? sent.get(toolCallId) : undefined;
    if (news === undefined) {
      parts.push(part);
      continue;
    }
    if (contradicts(known, news)) return { status: "conflict", toolCallId: String(toolCallId) };
    const tool = part.type === "dynamic-tool" ? String(known["toolName"]) : part.type.slice("tool-".length);
    const added = decisionOf(known, news) ?? (isOwn(tool) ? undefined : resultOf(known, news));
    if (added !== undefined) status = "grown";
    parts.push(added === undefined ? part : ({ ...known, ...added } as unknown as UiPart));
  }
  return { status, message: status === "same" ? stored : { ...stored, parts } };
}

/** The decision on a call that waits for one. */
function decisionOf(known: Fields, news: Fields): Fields | undefined {
  if (known["state"] !== "approval-requested" || news["state"] !== "approval-responded") return undefined;
  const asked = fieldsOf(known["approval"]);
  const { id, approved, reason } = fieldsOf(news["approval"]);
  if (id !== asked["id"] || typeof approved !== "boolean") return undefined;
  const said = typeof reason === "string" ? { reason } : {};
  return { state: "approval-responded", approval: { ...asked, approved, ...said } };
}

/** The result of a call that waits for one. */
function resultOf(known: Fields, news: Fields): Fields | undefined {
  const isApproved = known["state"] === "approval-responded" && fieldsOf(known["approval"])["approved"] === true;
  if (known["providerExecuted"] === true || (known["state"] !== "input-available" && !isApproved)) return undefined;
  const { state, output, errorText } = news;
  if (state === "output-available") return { state, output };
  if (state === "output-error") return { state, errorText: String(errorText) };
  return undefined;
}

/** True where both sides know how the call was settled, and not alike. */
function contradicts(known: Fields, news: Fields): boolean {
  const decided = fieldsOf(known["approval"])["approved"];
  const given = fieldsOf(news["approval"])["approved"];
  if (typeof decided === "boolean" && typeof given === "boolean" && decided !== given) return true;
  if (!isSettled(known) || !isSettled(news)) return false;
  return ["output", "errorText"].some((name) => !sameValue(asSent(known[name]), asSent(news[name])));
}

function isSettled({ state }: Fields): boolean {
  return state === "output-available" || state === "output-error";
}

/** The value as a client gets it: JSON has no dates. */
function asSent(value: unknown): Value | undefined {
  return value === undefined ? undefined : (JSON.parse(JSON.stringify(value) ?? "null") as Value);
}
