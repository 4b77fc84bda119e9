import { parseDuration, type Duration } from "../../domain/values/duration.ts";
import { invalidArgument, parseFunction } from "../../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { isModelName } from "../../domain/turns/usage.ts";
import type { Message, ReportedUsage } from "../../domain/turns/turn.ts";
import { toolless, type Model } from "./model.ts";

/**
 * A session without a title gets one after its first exchange, in the background. A title that is set by hand is never replaced,
 * and a failure leaves the session without a title.
 */
export interface Titles {
  /** The name of the model that makes them. @default the agent's model */
  readonly model?: string;
  /** Makes a title. @default the model of `openSessions`, without tools */
  readonly title?: Titler;
  /** The longest time of one call. @default "30s" */
  readonly timeout?: Duration;
}

/**
 * Makes a title; an empty one is none. It is cut to 256 characters, and its quotes and line breaks are removed. Words of users may
 * ask it for anything: it should run no tools.
 * @throws any error: the session has no title, and a later exchange tries once more
 */
export type Titler = (request: TitleRequest) => Promise<string | MadeTitle>;

/** The beginning of a session without a title. */
export interface TitleRequest {
  readonly tenant: string;
  readonly session: string;
  readonly agent: string;
  /** The messages of its first four turns as models are shown them: no failed turn, and none that is left out. */
  readonly messages: readonly Message[];
  readonly signal: AbortSignal;
}

/** A title as it was made. */
export interface MadeTitle {
  readonly text: string;
  /** The tokens that it cost, for budgets and stats. @default none are counted */
  readonly usage?: ReportedUsage;
  /** The name of the model. */
  readonly model?: string;
}

/** The checked options. */
export interface ResolvedTitles extends Omit<Titles, "timeout"> {
  readonly timeoutMs: number;
}

const names: OptionNames<Titles> = { model: true, title: true, timeout: true };

/** `asked`: the model of the sessions. @throws SessionError `argument_invalid`, `duration_invalid` */
export function parseTitles(titles: Titles, asked: Model | undefined): ResolvedTitles {
  guardNames(titles, "titles", names);
  const { model, title, timeout = "30s" } = titles;
  if (model !== undefined && !isModelName(model))
    throw invalidArgument("titles.model", model, { expected: "name", min: 1, max: 256 });
  if (title !== undefined) parseFunction(title, "titles.title");
  else if (toolless(asked) === undefined) throw invalidArgument("titles.title", title, { expected: "function" });
  return { ...titles, timeoutMs: parseDuration(timeout, "titles.timeout") };
}
