/** The history of LangChain and threads of LangGraph in the tests between frameworks. */
import { AIMessage, HumanMessage, SystemMessage, ToolMessage, type BaseMessage } from "@langchain/core/messages";
import { END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { chatHistory } from "../../../src/adapters/langchain.ts";
import { perdureSaver } from "../../../src/adapters/langgraph.ts";
import type { Sessions } from "../../../src/index.ts";
import { dataUrl, plain, sample, type Exchange, type Participant } from "../participant.ts";

const usage = { usage_metadata: { input_tokens: 3, output_tokens: 5, total_tokens: 8 } } as object;

function sampleMessages(): readonly (readonly BaseMessage[])[] {
  const [found, failed] = sample.calls;
  const thinking = { type: "thinking", thinking: sample.reasoning, signature: "s" };
  return [
    [
      new SystemMessage(sample.system),
      new HumanMessage({
        name: sample.name,
        content: [
          { type: "text", text: sample.question },
          { type: "image_url", image_url: { url: dataUrl(sample.picture) } },
          {
            type: "file",
            source_type: "base64",
            mime_type: sample.file.mediaType,
            data: sample.file.data,
            metadata: { filename: sample.file.name },
          },
        ],
      }),
      new AIMessage({
        content: [thinking],
        tool_calls: sample.calls.map(({ id, tool: name, input: args }) => ({ id, name, args, type: "tool_call" })),
        ...usage,
      }),
      new ToolMessage({ content: found.result, tool_call_id: found.id, name: found.tool }),
      new ToolMessage({ content: failed.failure, tool_call_id: failed.id, name: failed.tool, status: "error" }),
      new AIMessage({ content: sample.answer, ...usage }),
    ],
    [new HumanMessage(sample.thanks), new AIMessage({ content: sample.welcome, ...usage })],
  ];
}

function messagesOf({ question, call, result, answer }: Exchange): readonly [BaseMessage, ...BaseMessage[]] {
  const { id, tool: name, input: args } = call;
  return [
    new HumanMessage(question),
    new AIMessage({ content: "", tool_calls: [{ id, name, args: { ...args }, type: "tool_call" }] }),
    new ToolMessage({ content: result, tool_call_id: id, name }),
    new AIMessage({ content: answer }),
  ];
}

/** Runs a graph whose one node gives these answers, on a thread. */
async function run(sessions: Sessions, id: string, asked: BaseMessage[], answers: BaseMessage[]): Promise<void> {
  const graph = new StateGraph(MessagesAnnotation)
    .addNode("model", () => ({ messages: answers }))
    .addEdge(START, "model")
    .addEdge("model", END)
    .compile({ checkpointer: perdureSaver(sessions) });
  await graph.invoke({ messages: asked }, { configurable: { thread_id: id } });
}

const langchain: Participant = {
  name: "LangChain history",
  page: "langgraph.md",
  format: "langchain",
  sessionOf: (id) => id,
  async begin(sessions, id) {
    const history = chatHistory(sessions, id);
    for (const messages of sampleMessages()) await history.addMessages([...messages]);
  },
  async read(sessions, id) {
    const messages = (await chatHistory(sessions, id).getMessages()) as unknown as readonly BaseMessage[];
    return plain(messages.map((message) => message.toDict()));
  },
  async goOn(sessions, id, exchange) {
    await chatHistory(sessions, id).addMessages([...messagesOf(exchange)]);
  },
};

const langgraph: Participant = {
  name: "LangGraph",
  readsOthers: false,
  page: "langgraph.md",
  format: "langchain",
  sessionOf: (id) => id,
  async begin(sessions, id) {
    for (const messages of sampleMessages()) {
      const questions = messages.filter((message) => ["human", "system"].includes(message.getType()));
      await run(sessions, id, questions, messages.slice(questions.length));
    }
  },
  async read(sessions, id) {
    const tuple = await perdureSaver(sessions).getTuple({ configurable: { thread_id: id } });
    const { messages = [] } = (tuple?.checkpoint.channel_values ?? {}) as {
      readonly messages?: readonly BaseMessage[];
    };
    return plain(messages.map((message) => message.toDict()));
  },
  async goOn(sessions, id, exchange) {
    const [question, ...answers] = messagesOf(exchange);
    await run(sessions, id, [question], answers);
  },
};

export const participants: readonly Participant[] = [langchain, langgraph];
