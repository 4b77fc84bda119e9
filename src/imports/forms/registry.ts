/** The forms that an import knows. */
import { adkEval } from "./agents/adk-eval.ts";
import { adk } from "./agents/adk.ts";
import { assistants } from "./agents/assistants.ts";
import { claudeCode } from "./agents/claude-code.ts";
import { codex } from "./agents/codex.ts";
import { geminiCliPrompts } from "./agents/gemini-cli-prompts.ts";
import { geminiCli } from "./agents/gemini-cli.ts";
import { langgraph } from "./agents/langgraph.ts";
import { modelCalls } from "./agents/model-calls.ts";
import { openaiConversation } from "./agents/openai-conversation.ts";
import { chatForms } from "./chat.ts";
import { chatgpt } from "./apps/chatgpt.ts";
import { claudeAi } from "./apps/claude-ai.ts";
import { aiStudio } from "./apps/ai-studio.ts";
import { chatbotUi } from "./apps/chatbot-ui.ts";
import { grok } from "./apps/grok.ts";
import { librechat } from "./apps/librechat.ts";
import { lobechat } from "./apps/lobechat.ts";
import { openWebui } from "./apps/open-webui.ts";
import { exchanges } from "./exchanges.ts";
import { messageRows } from "./message-rows.ts";
import { mixed } from "./mixed.ts";
import { preferences } from "./preferences.ts";
import { savedState } from "./saved-state.ts";
import type { ConversationFormat } from "../conversations/conversation-format.ts";

/**
 * In the order in which a file is compared with them: a form of an application precedes those of plain messages. Rollouts of Codex
 * are last, because items alone are messages.
 */
export const conversationFormats: readonly ConversationFormat[] = [
  chatgpt,
  claudeAi,
  librechat,
  openWebui,
  lobechat,
  chatbotUi,
  grok,
  aiStudio,
  claudeCode,
  geminiCli,
  geminiCliPrompts,
  adk,
  adkEval,
  langgraph,
  assistants,
  openaiConversation,
  modelCalls,
  messageRows,
  exchanges,
  preferences,
  ...chatForms,
  mixed,
  savedState,
  codex,
];
