import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Workplace } from "./command-line.ts";

test("every command explains itself by example", async () => {
  await using place = await Workplace.open();
  const commands = [
    [],
    ["consult"],
    ["chat"],
    ["serve"],
    ...["run", "status"].map((name) => ["host", name]),
    ["migrate"],
    ...["create", "list", "revoke"].map((name) => ["keys", name]),
    ...["list", "show", "end", "remove", "break-lease", "sweep"].map((name) => ["sessions", name]),
  ];
  for (const command of commands) {
    const { code, stdout } = await place.run([...command, "--help"]);
    assert.equal(code, 0);
    assert.match(stdout, /Examples:\n {2}\$ perdure /, command.join(" "));
  }
});

test("the version is that of the package", async () => {
  await using place = await Workplace.open();
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  assert.equal((await place.run(["--version"])).stdout, `${version}\n`);
});

test("a command that is missing is wrong usage, and the help says which there are", async () => {
  await using place = await Workplace.open();
  for (const args of [[], ["sessions"]]) {
    const { code, stdout, stderr } = await place.run(args);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /Commands:/);
  }
});
