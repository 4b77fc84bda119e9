import type { Session } from "../../src/sessions/session/session.ts";

/** The text of the first input message of each turn; none for a session that does not exist. */
export async function inputsOf(
  session: Session | undefined,
  range: Parameters<Session["turns"]>[0] = {},
): Promise<readonly unknown[]> {
  if (session === undefined) return [];
  return (await Array.fromAsync(session.turns(range))).map(({ input }) => input[0]?.content);
}
