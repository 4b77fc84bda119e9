/**
 * Node loads this file before the tests (`--require`). The test runner follows every promise, to name the test whose
 * promise is rejected and not handled. That takes half of the processor time of tests with many promises. With this
 * file it does not: an unhandled rejection fails the file, and the report names no test. A file that runs by itself
 * follows promises.
 */
"use strict";
const hooks = require("node:async_hooks");

const { createHook } = hooks;
hooks.createHook = (callbacks) => createHook({ trackPromises: false, ...callbacks });
