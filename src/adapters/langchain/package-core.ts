/** The package `@langchain/core`, described by the members that are used. It is loaded when a message is first made. */
import { loadPeer } from "../peers/load-peer.ts";
import { isFields } from "./fields.ts";

/** A message of LangChain. Versions and copies of the package differ, so its class says nothing. */
export interface LangchainMessage {
  readonly lc_namespace: readonly string[];
  readonly lc_id: readonly string[];
  readonly lc_kwargs: Readonly<Record<string, unknown>>;
  readonly content: unknown;
  readonly id?: string;
}

type MessageClass = new (fields: object) => LangchainMessage;

/** The classes of messages. The package may be absent, and has another set of them in another version. */
export type MessageClasses = Readonly<Record<string, MessageClass | undefined>>;

const kinds = ["Human", "AI", "System", "Tool", "Function", "Chat"];

/** The names of the classes of messages that are kept. */
const known: ReadonlySet<string> = new Set([
  ...kinds.flatMap((kind) => [`${kind}Message`, `${kind}MessageChunk`]),
  "RemoveMessage",
]);

/** @throws SessionError `argument_invalid` if the package is not installed */
export async function messageClasses(): Promise<MessageClasses> {
  return await loadPeer<MessageClasses>(
    "@langchain/core",
    // @ts-ignore -- The package is a peer: its types may be absent.
    () => import("@langchain/core/messages"),
  );
}

/** True for a message of a class of LangChain; false for one of a class that extends it under another name. */
export function isMessage(value: unknown): value is LangchainMessage {
  if (!isFields(value)) return false;
  const { lc_namespace: namespace, lc_serializable: isSerializable, lc_kwargs: kwargs } = value;
  return (
    isSerializable === true &&
    Array.isArray(namespace) &&
    namespace[0] === "langchain_core" &&
    namespace[1] === "messages" &&
    isFields(kwargs) &&
    known.has(nameOf(value as unknown as LangchainMessage))
  );
}

/** The name of the message's class. */
export function nameOf(message: LangchainMessage): string {
  return String(message.lc_id.at(-1));
}

/** A message of the class with this name. @throws Error if the installed package has no such class */
export function messageOf(classes: MessageClasses, name: string, fields: object): LangchainMessage {
  const messageClass = classes[name];
  if (messageClass === undefined) throw new Error(`the installed @langchain/core has no message class ${name}`);
  return new messageClass(fields);
}

/** Fields that follow from the class or from other fields. */
const derived: ReadonlySet<string> = new Set(["type", "contentBlocks"]);

/** The fields that the message's constructor takes, without empty lists and objects, which it makes itself. */
export function fieldsOfMessage(message: LangchainMessage): ReadonlyMap<string, unknown> {
  const all = message as unknown as Readonly<Record<string, unknown>>;
  const fields = new Map<string, unknown>();
  for (const name of new Set([...Object.keys(message.lc_kwargs), ...Object.keys(message)])) {
    const value = name in message ? all[name] : message.lc_kwargs[name];
    if (name.startsWith("lc_") || derived.has(name) || value === undefined) continue;
    if (name !== "content" && isEmpty(value)) continue;
    fields.set(name, value);
  }
  return fields;
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && isPlain(value) && Object.keys(value).length === 0;
}

function isPlain(value: object): boolean {
  return Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
}
