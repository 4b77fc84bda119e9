/** No field of a file of messages, rows or calls of models is lost without a word. */
import { testKeptFields } from "../../test/support/kept-fields.ts";

const role = "the role of the message says it";
const called = {
  id: "call-1",
  type: "function",
  function: { name: "peek", arguments: '{"shelf":4711}' },
};

testKeptFields([
  {
    format: "openai-conversation",
    lines: [
      {
        object: "conversation",
        id: "k",
        created_at: 1_700_000_000,
        metadata: { mood: "calm" },
        items: {
          object: "list",
          first_id: "i1",
          last_id: "i2",
          has_more: false,
          data: [
            {
              id: "i1",
              type: "message",
              status: "completed-1",
              role: "user",
              content: [{ type: "input_text", text: "Done?" }],
            },
            {
              id: "i2",
              type: "message",
              role: "assistant",
              content: [{ type: "output_text", text: "Yes.", annotations: [{ url: "https://bread.example" }] }],
            },
          ],
        },
      },
    ],
    copies: {
      object: "the form says it",
      "items.object": "the form says it",
      "items.first_id": "the id of an item, which is kept",
      "items.last_id": "the id of an item, which is kept",
      "items.has_more": "it says that nothing is missing",
    },
    closed: ["items"],
  },
  {
    format: "model-calls",
    lines: [
      {
        session_id: "k",
        latency_ms: 321,
        request: {
          url: "https://api.example",
          headers: { authorization: "secret-1" },
          body: {
            model: "m1",
            temperature: 0.75,
            stream: true,
            tools: [{ type: "function", function: { name: "peek" } }],
            messages: [
              { role: "system", content: "Be brief." },
              { role: "user", content: "Done?" },
            ],
          },
        },
        response: {
          status_code: 200,
          body: {
            id: "r1",
            object: "chat.completion",
            created: 1_700_000_000,
            model: "m1-1",
            system_fingerprint: "print-1",
            choices: [
              { index: 0, finish_reason: "stop-1", message: { role: "assistant", content: "Yes." } },
              { index: 1, message: { role: "assistant", content: "other-1" } },
            ],
            usage: { prompt_tokens: 701, completion_tokens: 702, cost: 0.125 },
          },
        },
      },
    ],
    counted: {
      "request.headers": "header",
      "request.body.tools": "tool definition",
      "response.body.choices.1": "other choice",
    },
  },
  {
    format: "message-rows",
    lines: [
      {
        id: 101,
        session_id: "k",
        rating: 5,
        created_at: "2025-01-02T03:04:05Z",
        message: { type: "human", content: "Done?" },
      },
      {
        id: 102,
        session_id: "k",
        rating: 4,
        created_at: "2025-01-02T03:04:06Z",
        message: { type: "ai", content: "Yes.", response_metadata: { model: "m" } },
      },
    ],
  },
  {
    format: "exchanges",
    lines: [
      {
        session_id: "k",
        chat_id: "chat-1",
        user_id: "ada",
        agent_name: "ceo",
        question: "Rye?",
        response: "Yes.",
        timestamp: "2025-01-02T03:04:05Z",
        created_at: "2025-01-02T03:04:06Z",
        total_tokens: 801,
        mood: "calm",
        is_rated: false,
      },
      {
        session_id: "k",
        user_id: "ada",
        agent_name: "cfo",
        question: "Oats?",
        response: "No.",
        timestamp: "2025-01-02T03:05:05Z",
        model: "m",
        usage: { prompt_tokens: 811, completion_tokens: 812, cost: 0.5 },
      },
    ],
  },
  {
    format: "preferences",
    lines: [
      {
        input: {
          messages: [{ role: "user", content: "Rye?" }],
          tools: [{ type: "function" }],
          parallel_tool_calls: true,
        },
        preferred_output: [{ role: "assistant", content: "Yes." }],
        non_preferred_output: [{ role: "assistant", content: "No-1." }],
        label: "label-1",
      },
    ],
    counted: { "input.tools": "tool definition", non_preferred_output: "rejected answer" },
  },
  {
    format: "openai",
    lines: [
      {
        id: "k",
        uuid: "uuid-1",
        title: "Oven",
        model: "m1",
        created_at: "2025-01-02T03:04:05Z",
        user: { id: "ada", email: "ada@bread.example" },
        system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral-1" } }],
        system_prompt: "Be exact.",
        metadata: { model: "m2", mood: "calm" },
        tools: [{ type: "function", function: { name: "peek" } }],
        messages: [
          { role: "user", content: "Done?", id: "m1", weight: 0 },
          {
            role: "assistant",
            content: null,
            tool_calls: [called],
            created_at: "2025-01-02T03:04:06Z",
            logprobs: { content: "logprob-1" },
          },
          { role: "tool", tool_call_id: "call-1", content: "done", duration: 0.125 },
          {
            role: "assistant",
            content: "Yes.",
            usage: { prompt_tokens: 911, completion_tokens: 912, cost: 0.5 },
            model: "m3",
          },
        ],
      },
    ],
  },
  {
    format: "anthropic",
    lines: [
      {
        id: "k",
        messages: [
          { role: "user", content: [{ type: "text", text: "Done?", cache_control: { type: "ephemeral-1" } }] },
          {
            role: "assistant",
            content: [
              { type: "thinking", thinking: "Warm.", signature: "signature-1" },
              { type: "text", text: "Yes." },
            ],
            stop_reason: "end-1",
          },
        ],
      },
    ],
  },
  {
    format: "gemini",
    lines: [
      {
        id: "k",
        contents: [
          { role: "user", parts: [{ text: "Done?" }] },
          { role: "model", parts: [{ text: "Yes.", thoughtSignature: "signature-1" }] },
        ],
      },
    ],
  },
  {
    format: "ai-sdk-ui",
    lines: [
      {
        id: "k",
        messages: [
          { id: "m1", role: "user", parts: [{ type: "text", text: "Done?" }], metadata: { mood: "calm" } },
          {
            id: "m2",
            role: "assistant",
            parts: [
              { type: "step-start" },
              { type: "text", text: "Yes.", state: "done-1" },
              { type: "source-url", sourceId: "source-1", url: "https://bread.example" },
            ],
          },
        ],
      },
    ],
  },
  {
    format: "openai-responses",
    lines: [
      {
        id: "k",
        messages: [
          { type: "message", id: "i1", role: "user", content: [{ type: "input_text", text: "Done?" }] },
          { type: "reasoning", id: "i2", summary: [{ type: "summary_text", text: "Warm." }] },
          {
            type: "message",
            id: "i3",
            role: "assistant",
            status: "completed-1",
            content: [{ type: "output_text", text: "Yes." }],
          },
        ],
      },
    ],
  },
  {
    format: "langchain",
    lines: [
      {
        id: "k",
        messages: [
          { type: "human", data: { content: "Done?", id: "h1", example: false } },
          {
            type: "ai",
            data: {
              content: "Yes.",
              id: "a1",
              usage_metadata: { input_tokens: 311, output_tokens: 312 },
              response_metadata: { model_name: "m", logprobs: "logprob-1" },
            },
          },
        ],
      },
    ],
  },
  {
    format: "sharegpt",
    lines: [
      {
        id: "k",
        source: "source-1",
        conversations: [
          { from: "human", value: "Done?" },
          { from: "gpt", value: "Yes.", weight: 1.5 },
        ],
      },
    ],
    copies: { "conversations.0.from": role },
  },
  {
    format: "genkit",
    lines: [
      {
        id: "k",
        messages: [
          { role: "user", content: [{ text: "Done?", metadata: { a: "meta-1" } }] },
          { role: "model", content: [{ text: "Yes." }], metadata: { b: "meta-2" } },
        ],
      },
    ],
  },
  {
    format: "saved-state",
    lines: [
      {
        session_id: "k",
        saved_at: "2025-01-02T03:04:05Z",
        title: "Oven",
        state: {
          id: "inner-1",
          title: "Inner",
          floor: "ceo",
          messages: [
            { role: "user", content: "Done?" },
            { role: "assistant", content: "Yes." },
          ],
        },
      },
    ],
  },
]);
