import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Command } from "commander";
import { commandsFor } from "../../src/cli/main.ts";
import { Workplace } from "./command-line.ts";

/** The command and all commands below it. */
function withSubcommands(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

function helpOf(command: Command): string {
  let help = "";
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  return help;
}

test("every command has a description in the imperative and an example", async () => {
  const commands = (await commandsFor([])).flatMap(withSubcommands);
  assert(commands.length > 30, String(commands.length));
  for (const command of commands) {
    assert.match(helpOf(command), /Examples:\n {2}\$ /, command.name());
    assert.match(command.description(), /^[A-Z][a-z]+,? /, command.name());
    assert.doesNotMatch(command.description(), /^(?:The|A|An|One|What|How) /, command.name());
  }
});

test("the help of the program has examples", async () => {
  await using place = await Workplace.open();
  const { code, stdout } = await place.run(["--help"]);
  assert.equal(code, 0);
  assert.match(stdout, /Examples:\n {2}\$ perdure /);
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
