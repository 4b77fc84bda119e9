/** The file that a store is in; undefined where it is in none. @throws SessionError `argument_invalid` for a wrong URL of SQLite */
export async function fileOfStore(url: string): Promise<string | undefined> {
  if (!/^sqlite:/i.test(url)) return undefined;
  const { fileOfUrl } = await import("../../store/sqlite/open.ts");
  return fileOfUrl(url);
}

/** For commands that only read or remove. @throws SessionError `store_unavailable` for a file of SQLite that is not there */
export async function guardExistingStore(url: string): Promise<void> {
  const file = await fileOfStore(url);
  if (file === undefined) return;
  const { guardExisting } = await import("../../store/sqlite/connection/database-file.ts");
  guardExisting(file);
}
