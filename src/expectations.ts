/**
 * The values that an argument, a field of a document or a part of a request may have. An error carries the code and its
 * numbers; the words for its message are made here.
 */

/** Codes of the values that may be expected. */
export type Expected =
  | "agent_or_default"
  | "agents"
  | "boolean"
  | "cloneable"
  | "cursor"
  | "database_at_rest"
  | "database_file"
  | "database_url"
  | "date"
  | "default_agent"
  | "file_outside_store"
  | "list"
  | "module_address"
  | "credentials"
  | "name"
  | "number"
  | "one_default_agent"
  | "one_of"
  | "origin"
  | "outbox"
  | "package"
  | "plain_object"
  | "recordings"
  | "regular_file"
  | "schema_name"
  | "sqlite_url"
  | "text"
  | "tool_name"
  | "unique"
  | "url"
  | "url_or_pool"
  | "url_without_pool"
  | "web_address"
  | "whole_number"
  | "window"
  | "without_range";

/** A value that was expected, and the one that was found. */
export interface Expectation {
  /** The value that was found, shortened; absent if it is missing or secret. */
  readonly value?: string;
  /** Characters of the text, or items of the list, that was found; instead of `value`. */
  readonly length?: number;
  readonly expected: Expected;
  readonly min?: number;
  readonly max?: number;
  /** The known values of `one_of`, `default_agent` and `agent_or_default`. */
  readonly known?: readonly string[];
}

const words: { readonly [Code in Expected]: (expectation: Expectation) => string } = {
  agent_or_default: ({ known = [] }) => `one of ${known.join(", ")}, or "default": true for one of them`,
  agents: () => "agents to choose from: openSessions({ agents })",
  boolean: () => "true or false",
  cloneable: () => "a value that can be copied to another thread",
  cursor: () => "the next of an earlier page, unchanged",
  database_at_rest: () => "another file: the -wal or -journal file beside it shows that it is a database in use",
  database_file: () => "a database in a file",
  database_url: () => "an sqlite: or postgres: URL",
  date: () => "a valid Date",
  default_agent: ({ known = [] }) => `"default": true for one of ${known.join(", ")}`,
  file_outside_store: () => "a file that is not part of the store",
  list: (e) => `at most ${e.max} items`,
  module_address: () => "the path or URL of a module, because functions cannot be sent to another thread",
  credentials: () =>
    "an API key; set OPENAI_API_KEY, or set baseURL or OPENAI_BASE_URL for an endpoint that needs none",
  number: ({ min = 0 }) => `a number, ${min} or more`,
  name: (e) => `${lengths(e)} without control characters`,
  one_default_agent: () => "at most one agent with default: true",
  one_of: ({ known = [] }) => (known.length === 1 ? String(known[0]) : `one of ${known.join(", ")}`),
  origin: () => "an origin such as https://chat.example: scheme, host and port, nothing after it",
  outbox: () => '"stateless", or { outbox: "sqlite:FILE" } on a disk of this machine',
  package: () => "an installed package; run npm install",
  plain_object: () => "a plain object",
  recordings: () => "a .jsonl file, or a folder of such files",
  regular_file: () => "a new file, or a regular file to replace",
  schema_name: (e) => `a name of 1 to ${e.max} bytes without control characters that does not begin with pg_`,
  sqlite_url: () => "sqlite:FILE, with no parameters but synchronous and busyTimeout",
  text: (e) => lengths(e),
  tool_name: (e) => `1 to ${e.max} of the characters a-z, A-Z, 0-9, _ and -`,
  unique: () => "a name that no other tool of the agent has",
  url: () => "a URL such as http://127.0.0.1:11434/v1",
  url_or_pool: () => "either a url, or a pool with a method query",
  url_without_pool: () => "a url instead of a pool, because LISTEN needs a connection of its own",
  web_address: () => "an http or https URL without credentials",
  whole_number: ({ min = 0, max }) =>
    max === undefined ? `a whole number, ${min} or more` : `a whole number from ${min} to ${max}`,
  window: () => "a number of turns, or { turns, tokens }",
  without_range: () => "a whole number, 0 or more, without from and to",
};

function lengths({ min = 0, max }: Expectation): string {
  if (max === undefined) return min === 0 ? "a text" : `a text of ${min} characters or more`;
  return min === 0 ? `a text of at most ${max} characters` : `a text of ${min} to ${max} characters`;
}

/** The sentence that names the subject, the value found and the value expected. */
export function describeMismatch(subject: string, expectation: Expectation): string {
  const { value, length, expected } = expectation;
  const unit = expected === "list" ? "items" : "characters";
  const found = value === undefined ? (length === undefined ? "is missing" : `has ${length} ${unit}`) : `is ${value}`;
  return `${subject} ${found}; expected ${words[expected](expectation)}`;
}
