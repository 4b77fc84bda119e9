/** The messages of assistant-ui, described by the members that are read here, and their formats. */
import type { Value } from "../../domain/values/codec.ts";

/** A message of a thread, and the message that it follows; null: none. */
export interface HistoryItem {
  // oxlint-disable-next-line typescript/no-explicit-any -- `ThreadMessage` of the package, whose types may be absent
  message: any;
  parentId: string | null;
  // oxlint-disable-next-line typescript/no-explicit-any -- `RunConfig` of the package, whose types may be absent
  runConfig?: any;
}

/** The messages of a thread, and the last one of the branch that is shown. */
export interface HistoryMessages {
  headId: string | null;
  messages: HistoryItem[];
}

/** A message in the form of a runtime, and the message that it follows. */
export interface FormattedItem<M> {
  parentId: string | null;
  message: M;
}

/** The messages of a thread in the form of a runtime. */
export interface FormattedMessages<M> {
  headId: string | null;
  messages: FormattedItem<M>[];
}

/** A message as an adapter of a format reads it back. */
export interface StoredContent<S> {
  id: string;
  parent_id: string | null;
  format: string;
  content: S;
}

/** The `MessageFormatAdapter` of a runtime, such as that of the AI SDK. */
export interface FormatAdapter<M, S extends Record<string, unknown>> {
  format: string;
  encode(item: FormattedItem<M>): S;
  decode(stored: StoredContent<S>): FormattedItem<M>;
  getId(message: M): string;
}

/** The history of a runtime with messages of its own form. */
export interface FormattedHistory<M> {
  load(): Promise<FormattedMessages<M>>;
  append(item: FormattedItem<M>): Promise<void>;
  update(item: FormattedItem<M>, localMessageId: string): Promise<void>;
  delete(items: FormattedItem<M>[]): Promise<void>;
}

/** The name of assistant-ui's own form, in stored messages. */
export const ownFormat = "thread-message";

/** A message of the history, as the log has it. */
export interface StoredMessage {
  readonly id: string;
  readonly parent: string | null;
  readonly format: string;
  /** The message in its format; absent once it was deleted. */
  readonly content?: Value;
  readonly runConfig?: Value;
}

/** The contents of a message without the files of its attachments: their contents are parts beside them. */
export function withoutFiles(message: unknown): Value {
  const { attachments } = message as { readonly attachments?: unknown };
  if (!Array.isArray(attachments)) return message as Value;
  const kept = (attachments as readonly { readonly [name: string]: Value }[]).map((one) =>
    Object.fromEntries(Object.entries(one).filter(([name]) => name !== "file")),
  );
  return { ...(message as { readonly [name: string]: Value }), attachments: kept };
}
