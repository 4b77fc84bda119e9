/** Adds one to two documents, again and again, and acknowledges each step: `store steps`. The parent may kill it at any time. */
import { openSessions } from "../../src/index.ts";

const [store = "", steps = "0"] = process.argv.slice(2);
await using sessions = await openSessions({ store, sweep: false });
const documents = sessions.documents("shared");
for (let step = 0; step < Number(steps); step++) {
  await documents.update("updated", (value) => Number(value ?? 0) + 1);
  process.stdout.write("u");
  // The same by hand, with the second document in one write.
  for (;;) {
    const found = await documents.get("compared");
    const value = Number(found?.value ?? 0) + 1;
    const writes = [
      { key: "compared", value, if: found?.version ?? ("absent" as const) },
      { key: "beside", value },
    ];
    try {
      await documents.write(writes);
      break;
    } catch (error) {
      if ((error as { code?: unknown }).code !== "document_conflict") throw error;
    }
  }
  process.stdout.write("c");
}
