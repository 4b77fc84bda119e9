/** LangChain's own tests of checkpointers, on the store that `PERDURE_STORE` names. */
import {
  deltaChannelHistoryTests,
  validate,
  type CheckpointSaverTestInitializer,
} from "@langchain/langgraph-checkpoint-validation";
import { perdureSaver, type PerdureSaver } from "../../../src/adapters/langgraph.ts";
import { openSessions } from "../../../src/index.ts";

const store = process.env["PERDURE_STORE"] ?? "sqlite::memory:";
const all = await openSessions({ store, sweep: false });
let savers = 0;

const initializer: CheckpointSaverTestInitializer<PerdureSaver> = {
  checkpointerName: "perdure",
  createCheckpointer: () => perdureSaver(all.for(`tenant-${++savers}`)),
  afterAll: () => all.close(),
};

validate(initializer);
deltaChannelHistoryTests(initializer);
