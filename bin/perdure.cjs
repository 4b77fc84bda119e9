#!/usr/bin/env node
// Old syntax on purpose: a Node that is too old must get as far as saying so.
var needed = [22, 18];
var found = process.versions.node.split(".").map(Number);
if (found[0] < needed[0] || (found[0] === needed[0] && found[1] < needed[1])) {
  console.error("perdure needs Node " + needed.join(".") + " or newer; this is Node " + process.versions.node);
  process.exit(1);
}
void import("../dist/cli/main.js").then(function (main) {
  return main.main(process.argv.slice(2));
});
