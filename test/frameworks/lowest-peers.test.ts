/** Peers that the project installs in their newest versions, in the lowest ones that are supported. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isThorough } from "../support/rounds.ts";
import { testsWithPeers } from "./framework-tests.ts";

const isInstalled = existsSync(join(import.meta.dirname, "lowest-peers/node_modules"));
const missing = isInstalled ? false : "run node test/frameworks/install.ts";
testsWithPeers("lowest-peers", {
  word: "lowest",
  files: ["../../../src/adapters/openai.test.ts", "../../telemetry.test.ts", "../../postgres/sessions.test.ts"],
  skip: isThorough ? missing : "PERDURE_TEST_THOROUGH is not set",
});
