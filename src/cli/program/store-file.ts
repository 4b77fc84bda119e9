/** The file of an SQLite store; undefined for other stores. @throws SessionError `argument_invalid` for a wrong URL of SQLite */
export async function fileOfStore(url: string): Promise<string | undefined> {
  if (!/^sqlite:/i.test(url)) return undefined;
  const { fileOfUrl } = await import("../../store/sqlite/open.ts");
  return fileOfUrl(url);
}

/** Refuses a missing SQLite file, for commands that only read or remove. @throws SessionError `store_unavailable` */
export async function guardExistingStore(url: string): Promise<void> {
  const file = await fileOfStore(url);
  if (file === undefined) return;
  const { guardExisting } = await import("../../store/sqlite/connection/database-file.ts");
  guardExisting(file);
}
