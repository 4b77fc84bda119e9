/** Commands of summaries, pins, turns that are left out, and ratings. */
import { InvalidArgumentError, type Command } from "commander";
import { defined } from "../../../domain/values/defined.ts";
import { printable } from "../../../domain/values/format-value.ts";
import type { Model, NewRating, Rating, Summary } from "../../../index.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../../program/command.ts";
import { modelOfEnvironment, openExisting, openToRead, type StoreOptions } from "../../program/environment.ts";
import { pinOn } from "../../../sessions/conversations/title-and-pin.ts";
import { coreOf } from "../../../sessions/sessions.ts";
import { wholeNumber } from "../../terminal/arguments.ts";
import { note, report, writeJson, writeLine } from "../../terminal/output.ts";

interface SummarizeOptions extends StoreOptions, JsonOption {
  readonly to?: number;
  readonly model?: string;
}

export function summarizeCommand(): Command {
  return storeCommand(
    "summarize",
    "Summarize the first turns of a session; models are shown the summary in their place",
  )
    .argument("<id>", "the session")
    .option("--to <turn>", "the last turn that the summary covers (default: all but the last 4)", wholeNumber)
    .option("--model <name>", "the model that summarizes (default: $PERDURE_MODEL)")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure sessions summarize ceo_01m7…",
        "perdure sessions summarize ceo_01m7… --to 40 --model small-model",
      ]),
    )
    .action(summarize);
}

async function summarize(id: string, { to, model: named, json, ...options }: SummarizeOptions): Promise<void> {
  const model = modelOfEnvironment(named);
  const asked: Model = named === undefined ? model : (request) => model({ ...request, model: named });
  await using sessions = await openExisting(options, { model: asked });
  const summary = await (await sessions.get(id)).summarize(defined({ to }));
  if (summary === null) report({ session: id, summary }, `session ${id} is too short for a summary`, { json });
  else report({ session: id, ...summary }, printable(lineOf(summary)), { json });
}

interface ListOptions extends StoreOptions, JsonOption {}

export function summariesCommand(): Command {
  return storeCommand("summaries", "List the summaries of a session, those that cover most first")
    .argument("<id>", "the session")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions summaries ceo_01m7…"]))
    .action(summaries);
}

async function summaries(id: string, { json, ...options }: ListOptions): Promise<void> {
  await using sessions = await openToRead(options);
  let count = 0;
  for await (const summary of (await sessions.get(id)).summaries()) {
    count++;
    if (json === true) writeJson(summary);
    else writeLine(lineOf(summary));
  }
  if (count === 0 && json !== true) note(`session ${id} has no summaries`);
}

function lineOf({ from, to, text, usage }: Summary): string {
  const tokens = usage === undefined ? "" : `, ${usage.totalTokens} tokens`;
  return `turns ${from} to ${to}${tokens}: ${text}`;
}

interface MarkOptions extends StoreOptions, JsonOption {
  readonly undo?: boolean;
}

export function pinCommand(): Command {
  return storeCommand(
    "pin",
    "Pin a session in the list of its user, or a turn, which models are shown however old it is",
  )
    .argument("<id>", "the session")
    .argument("[turn]", "the number of the turn (default: pin the session)", wholeNumber)
    .option("--undo", "remove the pin")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure sessions pin ceo_01m7…",
        "perdure sessions pin ceo_01m7… 12",
        "perdure sessions pin ceo_01m7… 12 --undo",
      ]),
    )
    .action(pin);
}

async function pin(id: string, turn: number | undefined, options: MarkOptions): Promise<void> {
  if (turn !== undefined) {
    await mark("pin", id, turn, options);
    return;
  }
  const { undo = false, json, ...store } = options;
  await using sessions = await openExisting(store);
  const isPinned = await pinOn(coreOf(sessions), { tenant: sessions.tenant, id }, !undo);
  report({ session: id, isPinned }, `session ${id} is ${isPinned ? "pinned" : "not pinned"}`, { json });
}

export function leaveOutCommand(): Command {
  return storeCommand("leave-out", "Leave a turn out: no model is shown it, and users still see it")
    .argument("<id>", "the session")
    .argument("<turn>", "the number of the turn", wholeNumber)
    .option("--undo", "remove the mark")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples(["perdure sessions leave-out ceo_01m7… 12", "perdure sessions leave-out ceo_01m7… 12 --undo"]),
    )
    .action((id: string, turn: number, options: MarkOptions) => mark("leave-out", id, turn, options));
}

async function mark(
  name: "pin" | "leave-out",
  id: string,
  turn: number,
  { undo = false, json, ...options }: MarkOptions,
): Promise<void> {
  await using sessions = await openExisting(options);
  const session = await sessions.get(id);
  const operation = name === "pin" ? (undo ? "unpin" : "pin") : undo ? "takeIn" : "leaveOut";
  const changed = await session[operation](turn);
  const memory = await session.memory();
  const numbers = (list: readonly number[]): string => (list.length === 0 ? "none" : list.join(", "));
  const text = `session ${id}: pinned turns ${numbers(memory.pinned)}; left out ${numbers(memory.leftOut)}`;
  report({ session: id, changed, ...memory }, text, { json });
}

interface RateOptions extends StoreOptions, JsonOption {
  readonly comment?: string;
  readonly by?: string;
}

export function rateCommand(): Command {
  return storeCommand("rate", "Rate a turn, as feedback on its answer")
    .argument("<id>", "the session")
    .argument("<turn>", "the number of the turn", wholeNumber)
    .argument("<rating>", "up, down, a number, or none to remove the rating", ratingOf)
    .option("--comment <text>", "the reason, at most 2000 characters")
    .option("--by <rater>", "the rater; a later rating by the same one replaces it")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure sessions rate ceo_01m7… 12 up",
        "perdure sessions rate ceo_01m7… 12 0.4 --by judge --comment 'too long'",
      ]),
    )
    .action(rate);
}

function ratingOf(text: string): NewRating["rating"] {
  if (text === "up" || text === "down") return text;
  if (text === "none") return null;
  const number = text.trim() === "" ? Number.NaN : Number(text);
  if (Number.isFinite(number)) return number;
  throw new InvalidArgumentError("Expected up, down, a number or none.");
}

async function rate(
  id: string,
  turn: number,
  rating: NewRating["rating"],
  { comment, by, json, ...options }: RateOptions,
): Promise<void> {
  await using sessions = await openExisting(options);
  await (await sessions.get(id)).rate(turn, { rating, ...defined({ comment, by }) });
  const rater = by === undefined ? "" : ` by ${by}`;
  const text =
    rating === null
      ? `turn ${turn} of session ${id} has no rating${by === undefined ? " without a name" : rater}`
      : `turn ${turn} of session ${id} is rated ${rating}${rater}`;
  report({ session: id, turn, rating, by: by ?? null }, text, { json });
}

interface RatingsOptions extends StoreOptions, JsonOption {
  readonly turn?: number;
}

export function ratingsCommand(): Command {
  return storeCommand("ratings", "List the ratings of the turns of a session")
    .argument("<id>", "the session")
    .option("--turn <turn>", "only ratings of this turn", wholeNumber)
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions ratings ceo_01m7…"]))
    .action(ratings);
}

async function ratings(id: string, { turn, json, ...options }: RatingsOptions): Promise<void> {
  await using sessions = await openToRead(options);
  const rated = await (await sessions.get(id)).ratings(defined({ turn }));
  for (const rating of rated) {
    if (json === true) writeJson(rating);
    else writeLine(ratingLine(rating));
  }
  if (rated.length === 0 && json !== true)
    note(`${turn === undefined ? "session" : `turn ${turn} of session`} ${id} has no ratings`);
}

function ratingLine({ turn, rating, by, comment }: Rating): string {
  return `turn ${turn}: ${rating}${by === null ? "" : ` by ${by}`}${comment === undefined ? "" : `: ${comment}`}`;
}
