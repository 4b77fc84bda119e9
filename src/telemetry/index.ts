export { instrument, type Instrumentation, type InstrumentOptions, type Provider } from "./instrument.ts";
