/** A channel of frames with sequence numbers, as chats over a WebSocket have, on `sessions.streams`. */
import { SessionError, type Streams, type Value } from "../../src/index.ts";

/** From the client: go on behind the last frame that it has, or stop the answer. */
export type ClientFrame = { readonly type: "resume"; readonly lastSequence?: number } | { readonly type: "abort" };

/** To the client. A gap in the sequence is an error of the channel. */
export type ServerFrame =
  | { readonly type: "start" }
  | { readonly type: "chunk"; readonly sequence: number; readonly chunk: Value }
  | { readonly type: "end" }
  | { readonly type: "error"; readonly message: string }
  | { readonly type: "no-active" };

/** Handles a frame of a client of this chat; `closed` aborts when its socket closes. */
export async function handleFrame(
  frame: ClientFrame,
  {
    streams,
    chat,
    send,
    closed,
  }: {
    readonly streams: Streams;
    readonly chat: string;
    readonly send: (frame: ServerFrame) => void;
    readonly closed: AbortSignal;
  },
): Promise<void> {
  const active = await streams.active(chat);
  if (active === null) return send({ type: "no-active" });
  if (frame.type === "abort") return void (await streams.stop(active));
  send({ type: "start" });
  try {
    const after = frame.lastSequence ?? 0;
    for await (const { seq, part } of streams.read(active, { after, signal: closed }))
      send({ type: "chunk", sequence: seq, chunk: part });
    if (!closed.aborted) send({ type: "end" });
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    send({ type: "error", message: error.message });
  }
}
