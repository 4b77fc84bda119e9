/** A count with its noun, in the singular for one: `1 turn`, `3 entries`. `show` formats the number. */
export function counted(count: number, noun: string, show: (count: number) => string = String): string {
  return `${show(count)} ${count === 1 ? noun : plural(noun)}`;
}

function plural(noun: string): string {
  const [, head, rest = ""] = /^(.+?)( (?:of|without) .+)$/.exec(noun) ?? [];
  if (head !== undefined) return `${plural(head)}${rest}`;
  if (/(?:ch|s|x)$/.test(noun)) return `${noun}es`;
  return noun.endsWith("y") ? `${noun.slice(0, -1)}ies` : `${noun}s`;
}
