import type { ChildProcess } from "node:child_process";
import { after } from "node:test";

/**
 * Kill a process at the end of the test that started it, unless it has ended by then. Without this a test that fails
 * leaves a process behind, which keeps its file from ending.
 */
export function endsWithTest<Child extends ChildProcess>(child: Child): Child {
  after(() => void child.kill("SIGKILL"));
  return child;
}
