import { SessionError, type Sessions } from "../index.ts";
import { Meters } from "./meters.ts";
import { Spans, type Api } from "./spans.ts";

/** The part of an OpenTelemetry `TracerProvider` or `MeterProvider` that is called. */
export type Provider<Method extends "getTracer" | "getMeter"> = {
  readonly [name in Method]: (name: string) => unknown;
};

/** What is told to OpenTelemetry, and where. */
export interface InstrumentOptions {
  /** Whose live sessions are counted, in their tenant. @default no gauge of them */
  readonly sessions?: Sessions;
  /** @default the global one */
  readonly tracerProvider?: Provider<"getTracer">;
  /** @default the global one, as it is registered at this moment */
  readonly meterProvider?: Provider<"getMeter">;
}

/** What tells OpenTelemetry, until it is stopped. */
export interface Instrumentation extends Disposable {
  /** Tell no more. Calling it again does nothing. */
  readonly stop: () => void;
}

/**
 * Tell OpenTelemetry what the sessions of this process do: spans and metrics, without anything that was said in them. Call
 * it once, after the SDK is set up; docs/operate/telemetry.md names all of them.
 * @throws SessionError `argument_invalid` where `@opentelemetry/api` is not installed
 */
export async function instrument(options: InstrumentOptions = {}): Promise<Instrumentation> {
  const api = await loadApi();
  const { sessions, tracerProvider = api.trace, meterProvider = api.metrics } = options;
  const name = "perdure";
  const spans = new Spans(api, tracerProvider.getTracer(name) as ReturnType<typeof api.trace.getTracer>);
  const meters = new Meters(meterProvider.getMeter(name) as ReturnType<typeof api.metrics.getMeter>);
  if (sessions !== undefined) meters.watch((work) => spans.quietly(work), sessions);
  const stop = (): void => {
    spans.stop();
    meters.stop();
  };
  return { stop, [Symbol.dispose]: stop };
}

async function loadApi(): Promise<Api> {
  try {
    return await import("@opentelemetry/api");
  } catch (error) {
    const expected = "to be installed: npm install @opentelemetry/api";
    throw new SessionError(
      "argument_invalid",
      { name: "@opentelemetry/api", value: "absent", expected },
      { cause: error },
    );
  }
}
