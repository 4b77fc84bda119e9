import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { storeConformance } from "../../testing/conformance.ts";
import { scriptedClock } from "../../testing/scripted-clock.ts";
import { openSqlite } from "./open.ts";

const folder = mkdtempSync(join(tmpdir(), "perdure-conformance-"));
after(() => rmSync(folder, { recursive: true }));

const clock = scriptedClock();
storeConformance({
  name: "the SQLite store",
  open: () => openSqlite({ url: `sqlite:${join(folder, "store.db")}`, clock }),
  clock,
});
