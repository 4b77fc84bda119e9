/** Peers that the project installs in their newest versions, in the lowest ones that are supported. */
import { testsWithPeers } from "./framework-tests.ts";
import { leftOut } from "./install.ts";

testsWithPeers("lowest-peers", {
  word: "lowest",
  files: ["../../../src/adapters/openai.test.ts", "../../telemetry.test.ts", "../../postgres/sessions.test.ts"],
  skip: leftOut("lowest-peers"),
});
