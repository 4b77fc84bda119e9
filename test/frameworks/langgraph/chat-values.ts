/** Values and ids of any form, in histories of LangChain. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { HumanMessage } from "@langchain/core/messages";
import { chatHistory } from "../../../src/adapters/langchain.ts";
import { testsOfValues } from "../hostile-values.ts";

testsOfValues("langchain", (sessions) => ({
  write: (id, value) =>
    chatHistory(sessions, id).addMessage(new HumanMessage({ content: "Hi", additional_kwargs: { value } })),
  answer: (id) => chatHistory(sessions, id).addAIMessage("Yes."),
  read: async (id) =>
    (await chatHistory(sessions, id).getMessages()).map(
      (message) => (message as HumanMessage).additional_kwargs["value"],
    ),
}));
