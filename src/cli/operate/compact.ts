import { statSync } from "node:fs";
import type { Command } from "commander";
import { openStore } from "../../open.ts";
import { bareCommand, examples, jsonOption, storeOption, type JsonOption } from "../program/command.ts";
import { storeUrl, type StoreOptions } from "../program/environment.ts";
import { fileOfStore } from "../program/store-file.ts";
import { opened } from "../program/store-wait.ts";
import { CliError } from "../terminal/cli-error.ts";
import { bytes, report } from "../terminal/output.ts";

interface CompactOptions extends Pick<StoreOptions, "store">, JsonOption {}

/** `perdure compact`: give the disk space of removed sessions back to the system. */
export function compactCommand(): Command {
  return bareCommand("compact", "Rewrite the file of an SQLite store to free the disk space of what was removed")
    .option(...storeOption)
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples(["perdure compact", "perdure compact --store sqlite:perdure.db --json"]) +
        "\nOther programs may keep the store open; their writes wait until the file is written. The rewrite needs up to\n" +
        "twice the size of the file as free disk space.\nPostgreSQL frees space by itself (autovacuum): the command changes nothing there.\n",
    )
    .action(compact);
}

async function compact({ json, ...options }: CompactOptions): Promise<void> {
  const url = storeUrl(options);
  if (/^postgres(ql)?:/i.test(url)) {
    const text = "nothing to do: the autovacuum of PostgreSQL frees the space of removed rows for new ones";
    return report({ compacted: false }, text, { json });
  }
  const file = await fileOfStore(url);
  if (file === undefined) throw new CliError("usage", "this store has no file; name sqlite:FILE with --store");
  const store = await opened(url, () => openStore(url, {}, { access: "change" }));
  try {
    const bytesBefore = sizeOf(file);
    await store.scrub();
    const bytesAfter = sizeOf(file);
    const text = `compacted ${file}: ${bytes(bytesBefore)} before, ${bytes(bytesAfter)} after`;
    report({ compacted: true, file, bytesBefore, bytesAfter }, text, { json });
  } finally {
    await store.close();
  }
}

/** The bytes of the file and of its write-ahead log. */
function sizeOf(file: string): number {
  const sizes = [file, `${file}-wal`].map((path) => statSync(path, { throwIfNoEntry: false })?.size ?? 0);
  return sizes.reduce((sum, size) => sum + size, 0);
}
