/**
 * Runs the checks that `npm run verify` has before the tests. Checks of a group run side by side: one waits for the
 * registry while another one compiles. The output of a check is printed when the check has ended. Arguments name more
 * scripts for the last group: none of its checks reads what `npm run api` writes.
 */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";

/** Scripts of package.json. The checks of the second group need the packages that `frameworks` installs. */
const groups = [
  ["format:check", "types:project", "frameworks"],
  ["lint", "types:frameworks", ...process.argv.slice(2)],
];

/** True if the script passes. */
async function passes(script: string): Promise<boolean> {
  // The shell sends both outputs to one pipe, in the order of their lines.
  const child = spawn(`npm run --silent ${script} 2>&1`, { shell: true, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const output = await text(child.stdout);
  const code = await ended;
  process.stdout.write(`${code === 0 ? "passed" : "failed"}: npm run ${script}\n${output}`);
  return code === 0;
}

for (const group of groups) {
  const passed = await Promise.all(group.map(passes));
  if (passed.every(Boolean)) continue;
  process.exitCode = 1;
  break;
}
