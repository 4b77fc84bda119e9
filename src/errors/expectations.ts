/**
 * The values that an argument, a field of a document or a part of a request may have. An error carries the code and its
 * numbers; the words for its message are made here.
 */

/** Codes of the values that may be expected. */
export type Expected =
  | "agent_or_default"
  | "acyclic"
  | "app_event_type"
  | "alone"
  | "agents"
  | "agents_object"
  | "array"
  | "array_end"
  | "bigint"
  | "backup_session"
  | "beside"
  | "boolean"
  | "branches"
  | "bytes"
  | "byte_source"
  | "cloneable"
  | "complete"
  | "content"
  | "content_log"
  | "content_of_message"
  | "decision"
  | "conversation"
  | "conversation_name"
  | "conversations"
  | "credentials"
  | "cursor"
  | "database_at_rest"
  | "database_file"
  | "database_url"
  | "date"
  | "default_agent"
  | "depth"
  | "duration"
  | "earlier_call"
  | "entries"
  | "etag"
  | "event_id"
  | "event_stream"
  | "event_type"
  | "existing_file"
  | "file_outside_store"
  | "fewer_files"
  | "files_of_json"
  | "finite_number"
  | "function"
  | "guest"
  | "gzip"
  | "gzip_ratio"
  | "instant"
  | "iterable"
  | "json"
  | "json_or_lines"
  | "key_token"
  | "known_field"
  | "known_form"
  | "known_format"
  | "known_message"
  | "label_name"
  | "labels"
  | "language_model"
  | "last_line"
  | "list"
  | "log_name"
  | "log_tail"
  | "media_type"
  | "message"
  | "messages"
  | "module_address"
  | "name"
  | "no_bzip2"
  | "no_database"
  | "no_dots"
  | "no_field"
  | "no_html"
  | "no_page"
  | "no_parameter"
  | "no_segment_of_dots"
  | "not_blank"
  | "number"
  | "object"
  | "one_default_agent"
  | "one_of"
  | "other_branch"
  | "one_session"
  | "one_user"
  | "origin"
  | "outbox"
  | "package"
  | "path"
  | "percent_encoded"
  | "plain_data"
  | "printable"
  | "provider_options"
  | "readable_by_form"
  | "readable_file"
  | "readable_items"
  | "recordings"
  | "regular_file"
  | "schema_name"
  | "server"
  | "sessions"
  | "setting"
  | "sha256"
  | "signal"
  | "sqlite_url"
  | "storage"
  | "store"
  | "shared_option"
  | "table_columns"
  | "tagged"
  | "stream_session"
  | "text"
  | "tool_calls"
  | "tool_call_list"
  | "tool_name"
  | "unreserved"
  | "unique"
  | "url"
  | "url_or_pool"
  | "url_path"
  | "url_without_pool"
  | "user_content"
  | "utf8"
  | "whole_utf16"
  | "zip"
  | "zip_on_disk"
  | "uuid"
  | "value"
  | "visible"
  | "web_address"
  | "whole_characters"
  | "whole_number"
  | "window"
  | "with_onto"
  | "without_append"
  | "without_range"
  | "without_selection"
  | "without_to";

/** A value that was expected, and the one that was found. */
export interface Expectation {
  /** The value that was found, shortened; absent if it is missing or secret. */
  readonly value?: string;
  /** Characters of the text, items of the list or bytes of the value that was found; instead of `value`. */
  readonly length?: number;
  readonly expected: Expected;
  readonly min?: number;
  readonly max?: number;
  /** The known values of `one_of`, `default_agent` and `agent_or_default`, the known names of `no_parameter`, `setting` and `known_field`, of which the nearest is the first, and what `beside` stands beside. */
  readonly known?: readonly string[];
}

type Words = (expectation: Expectation) => string;

/** The words after "expected" in a message. */
const nouns: { readonly [Code in Exclude<Expected, keyof typeof defects>]: Words } = {
  agent_or_default: ({ known = [] }) => `one of ${known.join(", ")}, or "default": true for one of them`,
  agents: () => "agents to choose from: openSessions({ agents })",
  agents_object: () => 'an object of agents: {"ceo":{"instructions":"…"}}',
  array: () => "an array",
  bigint: (e) => `a bigint of at most ${e.max} digits; pass longer ones as a text or as bytes`,
  backup_session: () => "{ tenant, snapshot }, a session of a backup",
  boolean: () => "true or false",
  branches: () => "the branches of its logs, each with turns of its own",
  bytes: (e) => `at most ${e.max} bytes`,
  byte_source: () => "bytes, or an iterable or a stream of them",
  cloneable: () => "a value that can be copied to another thread",
  content_log: () => "a log of the conversation; the store keeps this one for itself",
  conversation: () => "a snapshot, or a conversation with messages",
  credentials: () =>
    "an API key; set OPENAI_API_KEY, or set baseURL or OPENAI_BASE_URL for an endpoint that needs none",
  cursor: () => "the next of an earlier page, unchanged",
  database_at_rest: () => "another file: the -wal or -journal file beside it shows that it is a database in use",
  database_file: () => "a database in a file",
  database_url: () => "an sqlite: or postgres: URL",
  date: () => "a valid Date",
  default_agent: ({ known = [] }) => `"default": true for one of ${known.join(", ")}`,
  duration: ({ max }) =>
    `a positive number of milliseconds or a text like "15m", "24h" or "7d"${max === undefined ? "" : `, at most ${max / 86_400_000} days`}`,
  earlier_call: () => "the id of a call before it that has no result yet",
  entries: () => "an array with at least one entry",
  etag: () => "an ETag that the server sent for it",
  event_id: () => "an event id that this stream has sent",
  event_stream: (e) => `text/event-stream, because the answer has more than ${e.max} bytes`,
  app_event_type: () => '"app." and up to 60 lower case letters, digits, "_", "." and "-", a letter first',
  event_type: () => "a type of event",
  file_outside_store: () => "a file that is not part of the store",
  finite_number: () => "a finite number",
  function: () => "a function",
  key_token: ({ min, max }) => `a secret of ${min} to ${max} visible ASCII characters`,
  iterable: () => "an array, or another iterable",
  known_message: () => "a message in a format that docs/tasks/export-import.md lists",
  label_name: (e) => `names of 1 to ${e.max} characters without control characters and without "=", and not __proto__`,
  labels: (e) => `at most ${e.max} labels`,
  language_model: () => "a language model of the AI SDK, or a function that returns one for a name",
  list: (e) => `at most ${e.max} items`,
  log_tail: () => "the name of a log, a colon and a number of entries, as in turns:2",
  media_type: () => "a media type such as image/png, of at most 255 characters",
  log_name: () => "1 to 32 of the characters a-z, 0-9, _ and -, a letter first",
  message: () => "{ role, content }",
  module_address: () => "the path or URL of a module, because functions cannot be sent to another thread",
  name: (e) => `${lengths(e)} without control characters`,
  whole_characters: () => "a text without halves of surrogate pairs",
  no_dots: () => 'another id than "." and "..", which URLs cannot hold',
  no_field: () => "no such field",
  no_page: () => "no such parameter: a stream has no pages",
  no_segment_of_dots: () => 'a path without the segments "." and ".."',
  not_blank: () => "a text with more than spaces",
  number: ({ min = 0, max }) => (max === undefined ? `a number, ${min} or more` : `a number from ${min} to ${max}`),
  object: () => "an object",
  decision: () => "true, or { refused: a reason }",
  one_default_agent: () => "at most one agent with default: true",
  one_of: ({ known = [] }) => (known.length === 1 ? String(known[0]) : `one of ${known.join(", ")}`),
  other_branch: ({ known = [] }) =>
    known.length === 0
      ? "another branch than the current one, and the session has no other"
      : `another branch than the current one; switch to ${known.length === 1 ? "" : "one of "}${known.join(", ")} first, then remove it`,
  origin: () => "an origin such as https://chat.example: scheme, host and port, nothing after it",
  outbox: () => '"stateless", or { outbox: "sqlite:FILE" } on a disk of this machine',
  package: () => "an installed package; run npm install",
  path: () => "a path without the character U+0000, which no name of a file has",
  percent_encoded: () => "percent-encoded text, with %25 for a percent sign",
  plain_data: () => "plain data: objects, arrays, texts, numbers, booleans, null, dates, bytes or bigints",
  printable: () => "a text without control characters",
  provider_options: () => 'an object of a provider\'s own fields, as in { openai: { user: "ada" } }',
  recordings: () => "a .jsonl file, or a folder of such files",
  regular_file: () => "a new file, or a regular file to replace",
  schema_name: (e) => `a name of 1 to ${e.max} bytes without control characters that does not begin with pg_`,
  server: () => "a server of createServer",
  sha256: () => "64 lower case hexadecimal digits",
  sessions: () => "a Sessions object of openSessions",
  sqlite_url: () => "sqlite:FILE, with no parameters but synchronous and busyTimeout",
  storage: () => "a storage such as localStorage; where there is none, pass the device's id",
  store: () => "an sqlite:, postgres: or memory: URL, or a store",
  shared_option: () =>
    "every option as in the first call of sharedSessions for this store; this one differs: pass the same value, or open sessions of your own with openSessions",
  table_columns: ({ known = [] }) =>
    `a table with a session_id, and a question with a response, a role with a content, or messages; it has the columns ${known.join(", ")}`,
  tagged: () => "a $type that fits its value",
  text: (e) => lengths(e),
  tool_calls: (e) => `at most ${e.max} tool calls`,
  tool_call_list: () => "an array of { id, function: { name, arguments } } with texts",
  tool_name: (e) => `1 to ${e.max} of the characters a-z, A-Z, 0-9, _ and -`,
  unreserved: () => "a name that does not begin with perdure, which is reserved",
  unique: () => "a value that occurs once",
  url: () => "a URL such as http://127.0.0.1:11434/v1",
  url_path: () => "a path such as /studio, without a slash at its end",
  url_or_pool: () => "either a url, or a pool with a method query",
  url_without_pool: () => "a url instead of a pool, because LISTEN needs a connection of its own",
  user_content: () => "text, pictures and files only",
  uuid: () => "a UUID",
  value: () => "a value",
  signal: () => "an AbortSignal",
  visible: () => "a text without invisible format characters",
  web_address: () => "an http or https URL without credentials",
  whole_number: ({ min = 0, max }) =>
    max === undefined ? `a whole number, ${min} or more` : `a whole number from ${min} to ${max}`,
  window: () => "a number of turns, or { turns, tokens }",
  stream_session: () => "the id of a session, which a stream gets where it is acquired with { session }",
  without_append: () => "a text, without append",
  without_to: () => "a whole number, 1 or more, without to",
  without_selection: () => "the id of a session, without agent, user, labels and state",
  without_range: () => "a whole number, 0 or more, without from and to",
};

/** Codes that name a defect: the whole of what follows the subject. */
const defects = {
  known_field: ({ known = [] }: Expectation) =>
    known.length === 0
      ? "is no field of this request; it has none here"
      : `is no field of this request; the nearest is "${known[0]}", the fields here are ${known.toSorted().join(", ")}`,
  no_parameter: ({ known = [] }: Expectation) =>
    `is no parameter of this route; ${known.length === 0 ? "it has none" : `its parameters are ${known.join(", ")}`}`,
  known_form: ({ value = "", known = [] }: Expectation) =>
    `is ${value}: no conversation in one of the forms ${known.join(", ")}`,
  known_format: ({ value = "", known = [] }: Expectation) =>
    `is ${value}: no document of the format ${known.join(", ")}; import conversations of other programs with "perdure import"`,
  acyclic: () => "contains itself",
  alone: () => "is named beside a user; name one of them",
  beside: ({ known = [] }: Expectation) => `does not go with ${known.join(", ")}; name one of them`,
  array_end: () => "has an array that does not end: it was cut off behind its last item",
  complete: () => "was cut off",
  content: () => "has no documents: it is empty",
  content_of_message: () => "has no content",
  conversations: () => "has no conversations",
  conversation_name: () => "names no conversation, while others in its file do; no entry of the file is imported",
  one_session: ({ value = "", known = [] }: Expectation) =>
    `is ${value}, while messages beside it have ${known.join(", ")}: they would become one session; name the conversation of each message in conversation_id, or rename the field if it names no conversation and no user`,
  one_user: ({ value = "", known = [] }: Expectation) =>
    `is ${value}, while messages beside it name ${known.join(", ")}; a session belongs to one user: name the conversation of each message`,
  depth: (e: Expectation) => `is nested deeper than ${e.max} levels`,
  guest: () => "speaks for a user; erase the user",
  fewer_files: (e: Expectation) => `has more than ${e.max} files; name its folders`,
  gzip: () => "is damaged or cut off",
  gzip_ratio: (e: Expectation) => `unpacks to more than ${e.max} times its size`,
  instant: () => "an instant such as 2026-11-20T09:30:00Z",
  existing_file: () => "does not exist",
  files_of_json: () => "has no files of JSON (.json, .jsonl, .ndjson)",
  json: () => "is not JSON",
  json_or_lines: () => "is neither JSON nor lines of JSON",
  no_html: () => "is a page of HTML or XML, no export; look for a .json file beside it",
  no_bzip2: () => "is compressed by bzip2; unpack it first",
  no_database: () =>
    'is an SQLite database; copy it with "perdure copy --from sqlite:FILE", or import a table of it with --from and --table',
  zip: () => "is a damaged zip archive",
  zip_on_disk: () => "is a zip archive; name the file instead of a pipe",
  messages: () => "has no messages",
  last_line: () => "follows the line that should be the last one",
  readable_by_form: ({ known = [] }: Expectation) => `cannot be read as ${known.join(", ")}`,
  readable_file: () => "cannot be read",
  readable_items: (e: Expectation) => `has more than ${e.max} items that cannot be read; the import stops here`,
  with_onto: () => "needs onto, unless it is 1",
  setting: ({ known = [] }: Expectation) => `is no setting; the settings are ${known.join(", ")}`,
  utf8: () => "is not UTF-8",
  whole_utf16: () => "ends within a character of UTF-16: it was cut off",
};

const units: { readonly [Code in Expected]?: string } = {
  bytes: "bytes",
  labels: "labels",
  list: "items",
  tool_calls: "tool calls",
};

function lengths({ min = 0, max }: Expectation): string {
  if (max === undefined)
    return min === 0 ? "a text" : min === 1 ? "a text that is not empty" : `a text of ${min} characters or more`;
  return min === 0 ? `a text of at most ${max} characters` : `a text of ${min} to ${max} characters`;
}

function isDefect(expected: Expected): expected is keyof typeof defects {
  return Object.hasOwn(defects, expected);
}

/** The sentence that names the subject, the value found and the value expected, or the defect and its reported cause. */
export function describeMismatch(subject: string, expectation: Expectation, reported = ""): string {
  const { value, length, expected } = expectation;
  if (isDefect(expected)) {
    return `${subject} ${defects[expected](expectation)}${reported === "" ? "" : `: ${reported}`}`;
  }
  const counted = length === undefined ? "is missing" : `has ${length} ${units[expected] ?? "characters"}`;
  return `${subject} ${value === undefined ? counted : `is ${value}`}; expected ${nouns[expected](expectation)}`;
}

/** An expectation within a document; without a code, the cause says what is wrong. */
export interface Mismatch extends Omit<Expectation, "expected"> {
  readonly expected?: Expected;
}

/** The same for a value in a document. */
export function describeAt(subject: string, { expected, ...found }: Mismatch, reported: string): string {
  return expected === undefined
    ? `${subject}: ${reported}`
    : describeMismatch(subject, { ...found, expected }, reported);
}
