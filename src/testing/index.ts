/**
 * The conformance suite for authors of stores, and a failing store and a scripted clock for tests of applications.
 *
 * @module perdure/testing
 */
export { attachmentStoreConformance, type AttachmentStoreHarness } from "./attachment-store-conformance.ts";
export { storeConformance, type StoreHarness } from "./conformance.ts";
export { failingStore, type FailingStore, type Fault, type FaultPlan } from "./failing-store.ts";
export {
  creationOf,
  sampleAt,
  sampleEntries,
  sampleRecord,
  sampleSplice,
  stepOf,
  type SampleEntry,
  type SampleStep,
} from "./samples.ts";
export { scriptedClock, type ScriptedClock } from "./scripted-clock.ts";
