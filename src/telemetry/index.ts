/**
 * Export of spans and metrics to OpenTelemetry.
 *
 * @module perdure/opentelemetry
 */
export { instrument, type Instrumentation, type InstrumentOptions, type Provider } from "./instrument.ts";
