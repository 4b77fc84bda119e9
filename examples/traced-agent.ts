import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { SimpleSpanProcessor, TracerProvider, type ReadableSpan } from "@opentelemetry/sdk-trace";
import type { LiveSession, Runtime } from "perdure/host";
import { instrument } from "perdure/opentelemetry";

// Each thread or process that runs sessions loads this module once: here is its SDK. In production, with an exporter to your collector.
const exporter = {
  export(spans: readonly ReadableSpan[], done: (result: { readonly code: 0 }) => void) {
    for (const { name, attributes } of spans) console.log(name, attributes["gen_ai.conversation.id"] ?? "");
    done({ code: 0 });
  },
  shutdown: async () => undefined,
};
const tracing = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(tracing);
await instrument();

const runtime: Runtime = {
  async *model({ messages }) {
    yield { type: "text", text: `${messages.length} messages, and OpenTelemetry gets none of them.` };
  },

  async onMessage(session: LiveSession, question: string) {
    return await (await session.consult(question)).text();
  },

  async deactivate() {
    await tracing.forceFlush(); // a thread that ends takes along what it has not sent
  },
};

export default runtime;
