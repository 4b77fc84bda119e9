/** A question and its answer in a document of its own, as data sets have them: a conversation without a name. */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import type { Value } from "../../domain/values/codec.ts";
import { formatOf } from "../../formats/registry.ts";
import { groupOf } from "../conversations/about.ts";

/** A question and its answer, and the names of their fields. */
export interface LoneExchange {
  readonly question: string;
  readonly answer: string;
  readonly names: readonly string[];
}

/** Data sets of preferences have the answer there. */
const preferenceNames = ["chosen", "rejected", "completion"];

/** The exchange in a document that is no message, names no conversation and has no list of messages. */
export function loneExchangeIn(
  document: Value,
  { asked, answered }: { readonly asked: readonly string[]; readonly answered: readonly string[] },
): LoneExchange | undefined {
  if (!isFields(document) || groupOf(document) !== undefined || formatOf(document) !== undefined) return undefined;
  if (document["role"] !== undefined || document["from"] !== undefined) return undefined;
  if (preferenceNames.some((name) => Object.hasOwn(document, name)) || hasMessages(document)) return undefined;
  const isText = (name: string): boolean => typeof document[name] === "string" && document[name] !== "";
  const answerName = answered.find(isText);
  // Alpaca's rows have what an instruction is about beside it: https://github.com/tatsu-lab/stanford_alpaca
  const questionNames = isText("instruction")
    ? ["instruction", "input"].filter(isText)
    : asked.filter(isText).slice(0, 1);
  if (answerName === undefined || questionNames.length === 0) return undefined;
  return {
    question: questionNames.map((name) => document[name] as string).join("\n\n"),
    answer: document[answerName] as string,
    names: [...questionNames, answerName],
  };
}

function hasMessages(document: Fields): boolean {
  return Object.values(document).some(
    (list) => Array.isArray(list) && (list as readonly Value[]).some((item) => formatOf(item) !== undefined),
  );
}
