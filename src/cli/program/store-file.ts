/** The file of an SQLite store; undefined for other stores. @throws SessionError `argument_invalid` for a wrong URL of SQLite */
export async function fileOfStore(url: string): Promise<string | undefined> {
  if (!/^sqlite:/i.test(url)) return undefined;
  const { fileOfUrl } = await import("../../store/sqlite/open.ts");
  return fileOfUrl(url);
}
