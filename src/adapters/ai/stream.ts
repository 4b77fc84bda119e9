import { SessionError, type ModelEvent, type ModelRequest, type ModelSettings } from "../../index.ts";
import { untilAborted } from "../../sessions/turns/until-aborted.ts";
import { failure } from "../model/failure.ts";
import { defaultTimeoutMs, Silence } from "../model/silence.ts";
import { StreamedAnswer } from "./answer.ts";
import { callOptions } from "./call.ts";
import { modelError } from "./failure.ts";
import type { AiLanguageModel, StreamPart } from "./language-model.ts";

/** One request, and its answer as it arrives. */
export async function* streamAnswer(
  model: AiLanguageModel,
  request: ModelRequest,
  settings: ModelSettings,
): AsyncGenerator<ModelEvent, void, undefined> {
  const silence = new Silence(request.signal, settings.timeoutMs ?? defaultTimeoutMs);
  const answer = new StreamedAnswer();
  let begun = false;
  try {
    silence.listen();
    const options = await callOptions(model, request, { settings, signal: silence.signal });
    // A model that ignores its signal is left behind.
    for await (const part of untilAborted(partsOf(model, options), silence.signal)) {
      silence.pause();
      begun = true;
      if (part.type === "error") throw modelError(part["error"], { begun });
      yield* answer.add(part);
      silence.listen();
    }
  } catch (error) {
    request.signal.throwIfAborted();
    if (error instanceof SessionError) throw error;
    silence.throwIfAborted(error);
    throw modelError(error, { begun });
  } finally {
    silence.pause();
  }
  silence.throwIfAborted();
  const { finishReason } = answer;
  if (finishReason === undefined) throw failure({ problem: "answer_incomplete" });
  const message = answer.message(model.provider);
  if (message?.tool_calls !== undefined) yield { type: "waiting", calls: message.tool_calls };
  if (message !== undefined) yield { type: "message", message };
  yield { type: "finish", reason: finishReason };
}

/** The parts of an answer, from the request on. */
async function* partsOf(model: AiLanguageModel, options: object): AsyncGenerator<StreamPart, void, undefined> {
  const { stream } = (await model.doStream(...([options] as never[]))) as { stream: AsyncIterable<StreamPart> };
  yield* stream;
}
