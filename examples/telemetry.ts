import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { openSessions } from "perdure";
import { instrument } from "perdure/opentelemetry";

// The SDK comes first; in production, with an exporter to your collector.
const exporter = new InMemorySpanExporter();
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }));

await using sessions = await openSessions({
  store: "sqlite:perdure.db",
  async *model({ messages }) {
    yield { type: "text", text: `${messages.length} messages, and OpenTelemetry gets none of them.` };
  },
});
const instrumentation = await instrument({ sessions });

const session = await sessions.ensure("traced-42", { agent: "support" });
await (await session.consult("Where is my parcel?")).text();
instrumentation.stop();

for (const { name, attributes } of exporter.getFinishedSpans()) {
  console.log(name, attributes["gen_ai.conversation.id"] ?? "");
}
