/** UI message streams over HTTP, in the form that `useChat` reads. */
import type { UiChunk } from "./ui-message.ts";

const headers = {
  "content-type": "text/event-stream",
  "cache-control": "no-cache",
  connection: "keep-alive",
  "x-vercel-ai-ui-message-stream": "v1",
  // Proxies pass on what they get.
  "x-accel-buffering": "no",
};

/** Proxies cut connections that are silent for longer, ms. */
const silenceMs = 15_000;

/** The chunks as server-sent events. A client that leaves cancels the stream. */
export function sseResponse(chunks: ReadableStream<UiChunk>): Response {
  const reader = chunks.getReader();
  const encoder = new TextEncoder();
  let silence: NodeJS.Timeout | undefined;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const keepAlive = (): void => {
        // A client that reads nothing needs no more of them.
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(": keep-alive\n\n"));
      };
      silence = setInterval(keepAlive, silenceMs).unref();
    },
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        silence?.refresh();
        const text = done ? "[DONE]" : JSON.stringify(value);
        controller.enqueue(encoder.encode(`data: ${text}\n\n`));
        if (!done) return;
        clearInterval(silence);
        controller.close();
      } catch (error) {
        clearInterval(silence);
        controller.error(error);
      }
    },
    async cancel(reason) {
      clearInterval(silence);
      await reader.cancel(reason);
    },
  });
  return new Response(body, { headers });
}
