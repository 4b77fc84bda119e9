/** The package `ai`, described by the functions that are called. It is loaded when a chat first needs it. */
import { SessionError } from "../../index.ts";
import { loadPeer } from "../peers/load-peer.ts";
import type { AnyUiMessage, UiChunk } from "./ui-message.ts";

/** What messages of clients are checked with, as `validateUIMessages` of the package `ai` takes it. */
export interface ChatsOptions {
  /** @default metadata is not checked */
  readonly metadataSchema?: unknown;
  /** By the names of data parts. @default data parts are not checked */
  readonly dataSchemas?: unknown;
  /**
   * The tools of the chat. The result of a tool with `execute` is not taken from a client.
   * @default parts of tools are not checked, and results of all tools are taken
   */
  readonly tools?: unknown;
}

interface PackageAi {
  createUIMessageStream(
    this: void,
    options: {
      readonly originalMessages: readonly AnyUiMessage[];
      readonly generateId: () => string;
      readonly execute: (options: { readonly writer: { write(chunk: UiChunk): void } }) => void;
      readonly onError: (error: unknown) => string;
      readonly onFinish: (event: { readonly responseMessage: AnyUiMessage }) => void;
    },
  ): ReadableStream<UiChunk>;
  safeValidateUIMessages(
    this: void,
    options: { readonly messages: readonly unknown[] } & ChatsOptions,
  ): Promise<
    | { readonly success: true; readonly data: readonly AnyUiMessage[] }
    | { readonly success: false; readonly error: unknown }
  >;
}

async function packageAi(): Promise<PackageAi> {
  return await loadPeer<PackageAi>(
    "ai",
    // @ts-ignore -- The package is a peer: its types may be absent.
    () => import("ai"),
  );
}

/**
 * The message that these chunks make up, behind the parts of `base`.
 * @throws the error of the package for chunks that fit no message
 */
export async function assembled(
  chunks: Iterable<UiChunk>,
  { id, base }: { readonly id: string; readonly base: AnyUiMessage | undefined },
): Promise<AnyUiMessage> {
  const { createUIMessageStream } = await packageAi();
  let message: AnyUiMessage | undefined;
  let failure: { readonly error: unknown } | undefined;
  const stream = createUIMessageStream({
    originalMessages: base === undefined ? [] : [base],
    generateId: () => id,
    execute: ({ writer }) => {
      for (const chunk of chunks) if (!isEnd(chunk)) writer.write(chunk);
    },
    onError: (error) => {
      failure ??= { error };
      return "";
    },
    onFinish: ({ responseMessage }) => void (message = responseMessage),
  });
  const reader = stream.getReader();
  while (!(await reader.read()).done);
  if (failure !== undefined) throw failure.error;
  return message ?? { id, role: "assistant", parts: [] };
}

/** Chunks about the end of a stream; they add no part to its message. */
function isEnd({ type }: UiChunk): boolean {
  return type === "error" || type === "abort";
}

/** The message of a client, checked. @throws SessionError `message_invalid` */
export async function validated(message: unknown, schemas: ChatsOptions): Promise<AnyUiMessage> {
  const { safeValidateUIMessages } = await packageAi();
  const result = await safeValidateUIMessages({ messages: [message], ...schemas });
  if (result.success && result.data[0] !== undefined) return result.data[0];
  throw new SessionError(
    "message_invalid",
    { path: "message", expected: "known_message" },
    result.success ? {} : { cause: result.error },
  );
}
