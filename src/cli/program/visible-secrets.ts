/** Secrets on the command line, which the process list shows to every user of the machine. */
import { note } from "../terminal/output.ts";

/** An option that takes a secret, or a URL that may hold a password; its value in the same word or the next. */
const option = /^(--key|--store|--from|--to)(?:=(.*))?$/s;
const withPassword = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*:[^/?#]*@/i;

/** Warn a person at a terminal of each secret among the arguments. */
export function warnOfVisibleSecrets(args: readonly string[]): void {
  if (!process.stderr.isTTY) return;
  for (const name of optionsWithSecrets(args)) {
    const instead = name === "--key" ? "PERDURE_KEY" : "PERDURE_STORE, or a password file (PGPASSFILE),";
    note(`perdure: the process list shows the secret in ${name} to every user of this machine; set ${instead} instead`);
  }
}

/** The options whose value is a secret or holds one. */
export function optionsWithSecrets(args: readonly string[]): readonly string[] {
  return args.flatMap((arg, index) => {
    const [, name, joined] = option.exec(arg) ?? [];
    const value = joined ?? args[index + 1];
    if (name === undefined || value === undefined) return [];
    return name === "--key" || withPassword.test(value) ? [name] : [];
  });
}
