/** The adapters of LangGraph and LangChain, with the frameworks themselves. */
import { frameworkTests } from "./framework-tests.ts";
// The adapters load the packages at once, so they are found before the tests are loaded.
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./langgraph/resolve.ts";

await frameworkTests("langgraph", ["validation.ts", "graphs.ts", "memories.ts", "values.ts"]);
