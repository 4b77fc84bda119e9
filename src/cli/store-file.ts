/** The file that a store is in; undefined where it is in none. @throws SessionError `argument_invalid` for a wrong URL of SQLite */
export async function fileOfStore(url: string): Promise<string | undefined> {
  if (!/^sqlite:/i.test(url)) return undefined;
  const { fileOfUrl } = await import("../store/sqlite/open.ts");
  return fileOfUrl(url);
}
