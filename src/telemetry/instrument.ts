import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { SessionError, type Sessions } from "../index.ts";
import { Meters } from "./meters.ts";
import { Spans, type Api } from "./spans.ts";

/** The part of an OpenTelemetry `TracerProvider` or `MeterProvider` that is called. */
export type Provider<Method extends "getTracer" | "getMeter"> = {
  readonly [name in Method]: (name: string) => unknown;
};

/** Options of the export to OpenTelemetry. */
export interface InstrumentOptions {
  /**
   * Sessions whose live sessions are counted, in their tenant.
   * @default no gauge of live sessions
   */
  readonly sessions?: Sessions;
  /** @default the global one */
  readonly tracerProvider?: Provider<"getTracer">;
  /** @default the global one, as registered at this time */
  readonly meterProvider?: Provider<"getMeter">;
}

/** The running export to OpenTelemetry. */
export interface Instrumentation extends Disposable {
  /** Stops the export. Calling it again does nothing. */
  readonly stop: () => void;
}

const optionNames: OptionNames<InstrumentOptions> = { sessions: true, tracerProvider: true, meterProvider: true };

/**
 * Exports spans and metrics of this process's sessions to OpenTelemetry, without any message text. Call it once, after
 * the SDK is set up; docs/operate/telemetry.md lists all of them.
 * @throws SessionError `argument_invalid` if `@opentelemetry/api` is not installed
 */
export async function instrument(options: InstrumentOptions = {}): Promise<Instrumentation> {
  guardNames(options, "options", optionNames);
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
    const details = { name: "@opentelemetry/api", expected: "package" } as const;
    throw new SessionError("argument_invalid", details, { cause: error });
  }
}
