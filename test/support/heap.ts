import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
// V8 drops the bytecode of functions that have not run for a few collections. That hides what a test looks for.
setFlagsFromString("--no-flush-bytecode");
const collect = runInNewContext("gc") as () => void;

/** V8 compiles and drops code in threads of its own, at moments that depend on the load of the machine. */
const holdsCode = /^(code|trusted|shared_trusted)_/;

/** The bytes of the objects in the heap, without garbage and compiled code. */
export async function heapBytes(): Promise<number> {
  let bytes = 0;
  for (let pass = 0; pass < 2; pass++) {
    await new Promise((resolve) => setImmediate(resolve));
    bytes = heapBytesNow();
  }
  return bytes;
}

/** The same at this moment: objects that wait for the next turn of the event loop count too. */
export function heapBytesNow(): number {
  collect();
  const spaces = getHeapSpaceStatistics().filter(({ space_name: name }) => !holdsCode.test(name));
  return spaces.reduce((sum, { space_used_size: bytes }) => sum + bytes, 0);
}
