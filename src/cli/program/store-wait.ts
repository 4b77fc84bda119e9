import { note } from "../terminal/output.ts";

/** The time after which a command says that it waits for the store. */
const quietMs = 2000;

/** The result of opening the store at `url`. One line on stderr says so if the store does not answer for a while. */
export async function opened<T>(url: string, open: () => Promise<T>): Promise<T> {
  const say = (): void =>
    note(
      `still waiting for the store ${withoutSecrets(url)}: it is away, locked, without a free connection, or being migrated; the command continues`,
    );
  const timer = setTimeout(say, quietMs);
  try {
    return await open();
  } finally {
    clearTimeout(timer);
  }
}

/** The URL without password and options, because others may read it. */
export function withoutSecrets(url: string): string {
  return url.replace(/\/\/[^@/]*@/, "//").replace(/\?.*$/s, "");
}
