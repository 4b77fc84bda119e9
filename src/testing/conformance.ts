/**
 * The contract of a store as tests. Call {@link storeConformance} in a file that `node --test` runs; each case bears
 * the name of an invariant of the contract.
 */
import { describe, test } from "node:test";
import { invalidText, parseFunction } from "../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { Bench, type Check, type StoreHarness } from "./conformance/bench.ts";
import { closingCases } from "./conformance/closing-cases.ts";
import { commitCases } from "./conformance/commit-cases.ts";
import { documentCommitCases } from "./conformance/documents/document-commit-cases.ts";
import { documentReadCases } from "./conformance/documents/document-read-cases.ts";
import { eventCases } from "./conformance/event-cases.ts";
import { findCases } from "./conformance/lists/find-cases.ts";
import { labelCases } from "./conformance/lists/label-cases.ts";
import { instanceCases } from "./conformance/instance-cases.ts";
import { killedWriterCases } from "./conformance/processes/killed-writer-cases.ts";
import { skewedClockCases } from "./conformance/processes/skewed-clock-cases.ts";
import { keyCases } from "./conformance/key-cases.ts";
import { newsCases } from "./conformance/news-cases.ts";
import { readCases } from "./conformance/read-cases.ts";
import { removalCases } from "./conformance/removal-cases.ts";
import { scopeCases } from "./conformance/scope-cases.ts";
import { searchCases } from "./conformance/lists/search-cases.ts";
import { sharingCases } from "./conformance/sharing-cases.ts";
import { spliceCases } from "./conformance/splice-cases.ts";
import { statsCases } from "./conformance/stats-cases.ts";
import { valueCases } from "./conformance/value-cases.ts";
import { watchCases } from "./conformance/watch-cases.ts";

const harnessNames: OptionNames<StoreHarness> = { name: true, open: true, clock: true, module: true, openAhead: true };

export type { StoreHarness } from "./conformance/bench.ts";

/**
 * Registers a `node:test` case for everything that the contract in `store/store.ts` promises.
 * @throws SessionError `argument_invalid`
 */
export function storeConformance(harness: StoreHarness): void {
  guardNames(harness, "harness", harnessNames);
  if (typeof harness.name !== "string") throw invalidText("name", harness.name, {});
  parseFunction(harness.open, "open");
  describe(`${harness.name} keeps the contract of a store`, () => {
    const check: Check = (title, body) => {
      test(title, async (context) => {
        await using bench = await Bench.open(harness);
        await body(bench, context);
      });
    };
    conformanceCases(check);
  });
}

/** All cases, for {@link storeConformance} and for the test that each of them can fail. */
export function conformanceCases(check: Check): void {
  commitCases(check);
  spliceCases(check);
  removalCases(check);
  keyCases(check);
  valueCases(check);
  readCases(check);
  findCases(check);
  labelCases(check);
  statsCases(check);
  eventCases(check);
  documentCommitCases(check);
  documentReadCases(check);
  newsCases(check);
  searchCases(check);
  scopeCases(check);
  sharingCases(check);
  instanceCases(check);
  watchCases(check);
  killedWriterCases(check);
  skewedClockCases(check);
  closingCases(check);
}
