/**
 * What programs write beside the words of a conversation: its id, its title, its user, its times, and the tokens and the
 * model of a message. The names are those that the programs in the list of formats use.
 */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import type { ReportedUsage } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { sameValue } from "../../domain/values/same-value.ts";
import { SessionError } from "../../errors.ts";
import type { Conversation, MessageFacts } from "../../sessions/transfer/conversation.ts";
import { instantOf } from "./instants.ts";

/** The names of the id of a conversation, in its own object, without case and separators. */
const ownIdNames = ["id", "uuid", "conversationid", "threadid", "sessionid", "chatid", "_id"] as const;

/** The names under which a message says to which conversation it belongs, without case and separators. */
const groupNames: readonly string[] = [
  ...ownIdNames.filter((name) => !["id", "uuid", "_id"].includes(name)),
  "conversationuuid",
  "threaduuid",
  "sessionuuid",
  "chatuuid",
  "convid",
  "convoid",
  "chatsessionid",
  "dialogid",
  "dialogueid",
  "roomid",
  "ticketid",
  "conversation",
  "session",
  "thread",
  "chat",
];
const titleNames = ["title", "name", "subject"] as const;
const userNames: readonly string[] = ["user", "userid", "username"];
export const agentNames: readonly string[] = ["agent", "agent_name", "agentName", "agent_role"];
const createdNames = [
  "createdAt",
  "created_at",
  "create_time",
  "timestamp",
  "created",
  "startTime",
  "time",
  "date",
] as const;
const updatedNames = [
  "updatedAt",
  "updated_at",
  "update_time",
  "lastUpdated",
  "last_updated",
  "saved_at",
  "last_query_at",
  "last_activity",
  "lastActivityAt",
] as const;

/** No name of an id is longer. */
const nameLengthMax = 32;

/** The name of a field without case and separators: `Session_ID` and `sessionId` are `sessionid`. */
export function plainName(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z\d]/g, "");
}

/** The fields that have one of the plain names, in the order of these. `_id` is a name of its own: MongoDB adds it to all. */
function namesIn(fields: Fields, plain: readonly string[]): readonly string[] {
  const found = Object.keys(fields).flatMap((name) => {
    const at = name.length > nameLengthMax ? -1 : plain.indexOf(name === "_id" ? name : plainName(name));
    return at < 0 ? [] : [{ name, at }];
  });
  if (found.length < 2) return found.map(({ name }) => name);
  return found.toSorted((one, other) => one.at - other.at).map(({ name }) => name);
}

/** The text of the first of these fields that has one; a number is its digits. */
export function textOf(fields: Fields, names: readonly string[]): string | undefined {
  for (const name of names) {
    const text = textOfValue(Object.hasOwn(fields, name) ? fields[name] : undefined);
    if (text !== undefined) return text;
  }
  return undefined;
}

/** The text of an id. MongoDB writes its ids as objects. */
function textOfValue(given: Value | undefined): string | undefined {
  const value = isFields(given) && typeof given["$oid"] === "string" ? given["$oid"] : given;
  if (typeof value === "string" && value !== "") return value;
  return typeof value === "number" || typeof value === "bigint" ? String(value) : undefined;
}

/** The names of the id in an object that a field names, such as `{"chat": {"id"}}`, without case and separators. */
const innerIdNames = ["id", "uuid", "_id", "value", ...groupNames.slice(0, -4)] as const;

/** The id in a field: a text, or an object with an id. */
export function idIn(value: Value | undefined, inner: readonly string[] = innerIdNames): string | undefined {
  return textOfValue(value) ?? (isFields(value) ? textOf(value, namesIn(value, inner)) : undefined);
}

/** The first of these fields that is a time, epoch ms. */
export function timeIn(fields: Fields, names: readonly string[] = createdNames): number | undefined {
  for (const name of names) {
    const at = instantOf(fields[name]);
    if (at !== undefined) return at;
  }
  return undefined;
}

/** True for an object with the id of a conversation. */
export function hasOwnId(value: Value): boolean {
  return isFields(value) && textOf(value, namesIn(value, ownIdNames)) !== undefined;
}

/** The conversation that a message says to belong to. */
export function groupOf(entry: Value): string | undefined {
  const name = groupNameOf(entry);
  return name === undefined ? undefined : idIn((entry as Fields)[name]);
}

/** The field in which a message names its conversation. */
export function groupNameOf(entry: Value): string | undefined {
  if (!isFields(entry)) return undefined;
  return namesIn(entry, groupNames).find((name) => idIn(entry[name]) !== undefined);
}

/** True for the name of a field in which a message names its conversation. */
export function isGroupName(name: string): boolean {
  return groupNames.includes(plainName(name));
}

/** True for the name of a field in which a message, or a conversation, names its user. */
export function isUserName(name: string): boolean {
  return userNames.includes(plainName(name));
}

/** The user that a message, or a conversation, names. */
export function userOf(value: Value): string | undefined {
  return isFields(value) ? userIn(value, namesIn(value, userNames)) : undefined;
}

/** The names of the id of a user, in an object of the user, without case and separators. */
const userIdNames = ["id", "uuid", "_id", "userid", "username", "email"] as const;

/** The user in the first of these fields that has one: a text, or an object with an id. */
function userIn(fields: Fields, names: readonly string[]): string | undefined {
  return names.map((name) => idIn(fields[name], userIdNames)).find((user) => user !== undefined);
}

/** What the fields of users say beside the id: an object without it. */
export function besideUsers(fields: Fields, names: readonly string[] = namesIn(fields, userNames)): Fields {
  const beside = names.flatMap((name): readonly (readonly [string, Fields])[] => {
    const user = fields[name];
    if (!isFields(user) || textOf(fields, [name]) !== undefined) return [];
    const taken = namesIn(user, userIdNames).find((one) => textOf(user, [one]) !== undefined);
    const rest = Object.entries(user).filter(([one, value]) => one !== taken && says(value));
    return rest.length === 0 ? [] : [[name, Object.fromEntries(rest)]];
  });
  return Object.fromEntries(beside);
}

/**
 * The one user of the messages of a conversation: a session belongs to one user, and its words are shown to that user.
 * @throws SessionError `message_invalid` for a second one
 */
export function onlyUser(
  named: readonly { readonly user: string | undefined; readonly place: string }[],
): string | undefined {
  const user = named.find((one) => one.user !== undefined)?.user;
  const other = named.find((one) => one.user !== undefined && one.user !== user);
  if (other === undefined) return user;
  const details = { path: `${other.place} user`, value: formatValue(other.user), expected: "one_user" } as const;
  throw new SessionError("message_invalid", { ...details, known: [formatValue(user)] });
}

/** True for a message that a user wrote, in the formats that messages stand by themselves in. */
export function isOfUser(message: Value): boolean {
  if (!isFields(message)) return false;
  const { role = message["type"] ?? message["from"] ?? message["sender"] } = message;
  return typeof role === "string" && ["user", "human"].includes(role.toLowerCase());
}

/** The fields around the messages of a conversation; what has no place of its own becomes metadata. */
export function aboutConversation(
  fields: Fields,
  used: readonly string[],
): Pick<Conversation, "id" | "title" | "user" | "agent" | "createdAt" | "updatedAt" | "metadata"> {
  const names = (all: readonly string[]): readonly string[] => all.filter((name) => !used.includes(name));
  const taken = new Set<string>(used);
  const take = <Read>(
    all: readonly string[],
    read: (some: readonly string[]) => Read | undefined,
  ): Read | undefined => {
    const found = names(all).find((name) => read([name]) !== undefined);
    if (found === undefined) return undefined;
    taken.add(found);
    return read([found]);
  };
  const id = take(namesIn(fields, ownIdNames), (some) => textOf(fields, some));
  const title = take(titleNames, (some) => textIn(fields, some));
  const user = take(namesIn(fields, userNames), (some) => userIn(fields, some));
  const besideUser = besideUsers(
    fields,
    names(namesIn(fields, userNames)).filter((name) => taken.has(name)),
  );
  const agent = take(agentNames, (some) => textIn(fields, some));
  const createdAt = take(createdNames, (some) => timeIn(fields, some));
  const updatedAt = take(updatedNames, (some) => timeIn(fields, some));
  const { metadata } = fields;
  const own = isFields(metadata) ? metadata : {};
  taken.add(isFields(metadata) ? "metadata" : "");
  const rest = Object.fromEntries(Object.entries(fields).filter(([name, value]) => !taken.has(name) && says(value)));
  return defined({
    id,
    title,
    user,
    agent,
    createdAt,
    updatedAt,
    metadata: withoutClash(defined({ title, ...rest, ...besideUser }), own),
  });
}

/** The metadata of the file and the other fields around them. Of two values with one name, the one around is in `fields`, or in `fields_2` beside such a field. */
export function withoutClash(around: Fields, own: Fields): Fields {
  const clashing = Object.entries(around).filter(
    ([name, value]) => Object.hasOwn(own, name) && says(own[name]!) && !sameValue(own[name], value),
  );
  const filled = Object.fromEntries(
    Object.entries(own).filter(([name, value]) => says(value) || !Object.hasOwn(around, name)),
  );
  if (clashing.length === 0) return { ...around, ...filled };
  let name = "fields";
  for (let number = 2; Object.hasOwn(around, name) || Object.hasOwn(filled, name); number++) name = `fields_${number}`;
  return { ...around, ...filled, [name]: Object.fromEntries(clashing) };
}

/** False for values that say nothing: null, an empty text, an empty list. */
export function says(value: Value): boolean {
  if (value === null || value === "") return false;
  return !(Array.isArray(value) && value.length === 0) && !(isFields(value) && Object.keys(value).length === 0);
}

function textIn(fields: Fields, names: readonly string[]): string | undefined {
  return names.map((name) => fields[name]).find((value) => typeof value === "string" && value !== "") as
    | string
    | undefined;
}

/** The fields that say something, but for those named here; undefined for none. */
export function restOf(fields: Fields, placed: readonly string[]): Fields | undefined {
  const rest = Object.entries(fields).filter(([name, value]) => says(value) && !placed.includes(name));
  return rest.length === 0 ? undefined : Object.fromEntries(rest);
}

/** The names of the time, of the model and of the tokens that {@link factsOf} takes, where it takes all that they say. */
export function factNames(message: Fields): readonly string[] {
  const { at, usage, model } = factsOf(message);
  const counts = new Set<Value | undefined>(Object.values(usage ?? {}));
  const isCounted = (value: Value): boolean =>
    isFields(value) ? Object.values(value).every(isCounted) : !says(value) || counts.has(value);
  return [
    createdNames.find((name) => at !== undefined && instantOf(message[name]) === at),
    modelNames.find((name) => model !== undefined && message[name] === model),
    usageNames.find((name) => usage !== undefined && isFields(message[name]) && isCounted(message[name])),
  ].filter((name) => name !== undefined);
}

/** The objects in which a message may have its time, its tokens and its model: itself, and those inside it. */
function placesOf(message: Fields): readonly Fields[] {
  const inner = ["metadata", "message", "data", "kwargs", "response_metadata", "additional_kwargs", "usageInfo"];
  const direct = inner.map((name) => message[name]).filter((value) => isFields(value));
  const nested = direct.map((one) => one["response_metadata"]).filter((value) => isFields(value));
  return [message, ...direct, ...nested];
}

/** What a message says of its time, its tokens and its model. */
export function factsOf(message: Fields): MessageFacts {
  const places = placesOf(message);
  return defined({
    at: places.map((place) => timeIn(place)).find((at) => at !== undefined),
    usage: places.map(usageIn).find((usage) => usage !== undefined),
    model: places.map((place) => textIn(place, modelNames)).find((model) => model !== undefined),
  });
}

const modelNames = ["model", "model_name", "modelName", "model_slug", "modelId", "model_id", "modelVersion"] as const;
const usageNames = ["usage", "usage_metadata", "usageMetadata", "token_usage", "tokenUsage", "tokens", "totalUsage"];

function usageIn(place: Fields): ReportedUsage | undefined {
  return usageNames.map((name) => usageOf(place[name])).find((usage) => usage !== undefined);
}

const inputNames = [
  "prompt_tokens",
  "input_tokens",
  "inputTokens",
  "promptTokens",
  "promptTokenCount",
  "prompt_token_count",
  "input",
  "prompt",
];
const outputNames = [
  "completion_tokens",
  "output_tokens",
  "outputTokens",
  "completionTokens",
  "candidatesTokenCount",
  "candidates_token_count",
  "output",
  "completion",
];
const totalNames = ["total_tokens", "totalTokens", "totalTokenCount", "total_token_count", "total"];
const cachedNames = [
  "cached_tokens",
  "cachedTokens",
  "cachedInputTokens",
  "cached_input_tokens",
  "cachedContentTokenCount",
  "cached_content_token_count",
  "cache_read",
  "cached",
];
const reasoningNames = [
  "reasoning_tokens",
  "reasoningTokens",
  "reasoning_output_tokens",
  "thoughtsTokenCount",
  "thoughts_token_count",
  "reasoning",
  "thoughts",
];

/** The tokens in an object of any provider; undefined where it has none. */
export function usageOf(value: Value | undefined): ReportedUsage | undefined {
  if (!isFields(value)) return undefined;
  const details = [
    "prompt_tokens_details",
    "input_tokens_details",
    "input_token_details",
    "completion_tokens_details",
    "output_tokens_details",
    "output_token_details",
  ].flatMap((name) => (isFields(value[name]) ? [value[name]] : []));
  const count = (names: readonly string[], places: readonly Fields[] = [value]): number | undefined =>
    places
      .flatMap((place) => names.map((name) => place[name]))
      .find((found): found is number => typeof found === "number" && Number.isFinite(found));
  const [input, output] = [count(inputNames), count(outputNames)];
  const total = count(totalNames);
  if (input === undefined && output === undefined && total === undefined) return undefined;
  // Anthropic counts what its cache holds apart from the input.
  const read = count(["cache_read_input_tokens"]);
  const apart = (read ?? 0) + (count(["cache_creation_input_tokens"]) ?? 0);
  return defined({
    inputTokens: (input ?? (total === undefined || output === undefined ? 0 : total - output)) + apart,
    outputTokens: output ?? 0,
    totalTokens: total,
    cachedTokens: read ?? count(cachedNames, [value, ...details]),
    reasoningTokens: count(reasoningNames, [value, ...details]),
  });
}
