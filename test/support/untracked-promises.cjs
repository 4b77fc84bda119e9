/**
 * Node loads this file before the tests (`--require`). The test runner follows every promise, to name the test whose
 * promise is rejected and not handled. That takes half of the processor time of tests with many promises. A quick run
 * does not follow promises: an unhandled rejection fails the file, and the report names no test. A thorough run, and a
 * file that runs by itself, follow promises.
 */
"use strict";
const hooks = require("node:async_hooks");

if (process.env.PERDURE_TEST_THOROUGH !== "1") {
  const { createHook } = hooks;
  hooks.createHook = (callbacks) => createHook({ trackPromises: false, ...callbacks });
}
