/** No field of a file of a chat application is lost without a word. */
import { testKeptFields } from "../../../../test/support/kept-fields.ts";

const position = "the order of the messages says it";
const role = "the role of the message says it";
const ids = "the id of the last message, which is kept";

testKeptFields([
  {
    format: "chatgpt",
    lines: [
      {
        conversation_id: "k",
        id: "k",
        title: "Oven",
        create_time: 1_700_000_000.5,
        is_archived: false,
        default_model_slug: "slug-1",
        current_node: "e",
        mapping: {
          r: { id: "r", message: null, parent: null, children: ["p"] },
          p: {
            id: "p",
            parent: "r",
            message: {
              id: "p",
              author: { role: "user", metadata: {} },
              content: { content_type: "user_editable_context", user_instructions: "Be brief.", user_profile: "" },
              metadata: { is_visually_hidden_from_conversation: true, request_id: "request-1" },
            },
          },
          a: {
            id: "a",
            parent: "p",
            message: {
              id: "a",
              author: { role: "user", name: "Ada" },
              create_time: 1_700_000_001,
              update_time: 1_700_000_002,
              status: "finished_successfully",
              weight: 1,
              end_turn: false,
              recipient: "all",
              content: {
                content_type: "multimodal_text",
                parts: [
                  { content_type: "image_asset_pointer", asset_pointer: "file-service://f1", width: 640 },
                  "Is it done?",
                ],
              },
              metadata: { attachments: [{ id: "file-2", name: "list.pdf", size: 1234 }], message_type: "next" },
            },
          },
          b: {
            id: "b",
            parent: "a",
            message: {
              id: "b",
              author: { role: "assistant" },
              create_time: 1_700_000_003,
              recipient: "python",
              content: { content_type: "code", language: "python-3", text: "peek(2)" },
              metadata: { model_slug: "slug-2", finish_details: { type: "stop", stop_tokens: [200_012] } },
            },
          },
          c: {
            id: "c",
            parent: "b",
            message: {
              id: "c",
              author: { role: "tool", name: "python" },
              content: { content_type: "execution_output", text: "done" },
            },
          },
          d: {
            id: "d",
            parent: "c",
            message: {
              id: "d",
              author: { role: "assistant" },
              content: { content_type: "thoughts", thoughts: [{ summary: "Looking" }] },
            },
          },
          e: {
            id: "e",
            parent: "d",
            message: {
              id: "e",
              author: { role: "assistant" },
              create_time: 1_700_000_009,
              content: { content_type: "text", parts: ["Yes."] },
              metadata: {
                model_slug: "slug-3",
                citations: [{ url: "https://bread.example" }],
                serialization_metadata: { custom_symbol_offsets: [77] },
              },
            },
          },
        },
      },
    ],
    copies: { "mapping.r.children": position, current_node: ids },
    closed: ["mapping"],
  },
  {
    format: "claude",
    lines: [
      {
        uuid: "k",
        name: "Bread",
        created_at: "2025-03-01T08:00:00Z",
        updated_at: "2025-03-01T08:09:00Z",
        account: { uuid: "ada" },
        current_leaf_message_uuid: "m2",
        chat_messages: [
          {
            uuid: "m1",
            sender: "human",
            text: "How long?",
            content: [
              { type: "text", text: "How long?", start_timestamp: "2025-03-01T08:00:01Z", citations: [{ at: 17 }] },
            ],
            created_at: "2025-03-01T08:00:02Z",
            parent_message_uuid: "00000000-0000-4000-8000-000000000000",
            attachments: [{ file_name: "n.txt", file_size: 99, extracted_content: "rye" }],
            files: [{ file_name: "p.png", file_uuid: "uuid-9" }],
          },
          {
            uuid: "m2",
            sender: "assistant",
            content: [
              { type: "tool_use", id: "t", name: "search", input: { q: "rye" }, message: "Searching" },
              { type: "tool_result", tool_use_id: "t", content: [{ type: "text", text: "3 h" }] },
              { type: "text", text: "Three." },
            ],
            created_at: "2025-03-01T08:01:00Z",
            parent_message_uuid: "m1",
          },
        ],
      },
    ],
    copies: { "chat_messages.0.sender": role, current_leaf_message_uuid: ids },
    closed: ["chat_messages.1.content.0.input"],
  },
  {
    format: "librechat",
    lines: [
      {
        conversationId: "k",
        title: "Oven",
        exportAt: "10:15:20 GMT",
        branches: true,
        recursive: false,
        options: { presetId: "preset-1", model: "m1", promptPrefix: "Be brief.", temperature: 0.75 },
        messages: [
          {
            _id: "object-1",
            __v: 3,
            messageId: "m1",
            parentMessageId: "00000000",
            isCreatedByUser: true,
            sender: "Ada",
            text: "Is it done?",
            tokenCount: 41,
            files: [{ file_id: "file-1", filename: "oven.png", bytes: 2048 }],
            createdAt: "2025-03-01T08:00:00Z",
          },
          {
            messageId: "m2",
            parentMessageId: "m1",
            isCreatedByUser: false,
            sender: "Baker",
            endpoint: "agents",
            model: "m2",
            unfinished: false,
            content: [
              { type: "text", text: "Let me look." },
              {
                type: "tool_call",
                tool_call: {
                  id: "t",
                  name: "peek",
                  args: '{"shelf":2}',
                  output: "done",
                  progress: 0.5,
                  auth: "https://auth.example",
                },
              },
            ],
            createdAt: "2025-03-01T08:00:05Z",
            updatedAt: "2025-03-01T08:00:06Z",
          },
        ],
      },
    ],
    counted: { exportAt: "field of the file", branches: "field of the file", recursive: "field of the file" },
    copies: { "messages.0.isCreatedByUser": role, "messages.1.isCreatedByUser": role },
  },
  {
    format: "open-webui",
    lines: [
      {
        id: "k",
        user_id: "ada",
        share_id: "share-1",
        pinned: false,
        chat: {
          id: "k2",
          title: "Oven",
          system: "Be brief.",
          params: { temperature: 0.25 },
          timestamp: 1_700_000_000_123,
          history: {
            currentId: "m2",
            messages: {
              m1: {
                id: "m1",
                parentId: null,
                childrenIds: ["m2"],
                role: "user",
                content: "Done?",
                models: ["m1"],
                files: [
                  { type: "file", id: "f1", name: "a.txt", file: { data: { content: "rye flour" }, hash: "hash-1" } },
                ],
              },
              m2: {
                id: "m2",
                parentId: "m1",
                childrenIds: [],
                role: "assistant",
                content:
                  '<details type="reasoning" done="true" duration="3"><summary>Thought for 3 seconds</summary>\n> warm\n</details>\nYes.',
                model: "m1",
                modelName: "Model One",
                modelIdx: 0,
                done: true,
                lastSentence: "Yes, it is.",
                info: { prompt_tokens: 1201, completion_tokens: 302, eval_duration: 5501 },
                timestamp: 1_700_000_001,
                completedAt: 1_700_000_055,
              },
            },
          },
          messages: [{ id: "m1", role: "user" }],
          files: [{ id: "f2", name: "document-2" }],
        },
      },
    ],
    copies: {
      "chat.history.currentId": ids,
      "chat.history.messages.m1.childrenIds": position,
      "chat.messages": "the messages of the branch are in the tree",
    },
    counted: { "chat.files": "chat document" },
    closed: ["chat.history.messages"],
  },
  {
    format: "lobechat",
    lines: [
      {
        exportType: "all",
        version: 4,
        state: {
          sessions: [
            {
              id: "s",
              slug: "slug-1",
              pinned: true,
              group: "default-1",
              accessedAt: "2025-03-01T08:00:00Z",
              updatedAt: "2025-03-01T08:00:01Z",
              createdAt: "2025-02-01T08:00:00Z",
              meta: { title: "Baker", description: "Bakes.", avatar: "bread", backgroundColor: "#ffcc00" },
              config: { systemRole: "Be brief.", model: "m1", params: { seed: 4242 } },
            },
          ],
          topics: [
            {
              id: "k",
              sessionId: "s",
              title: "Oven",
              favorite: true,
              clientId: "client-1",
              accessedAt: "2025-03-02T08:00:00Z",
            },
          ],
          messages: [
            {
              id: "m1",
              role: "user",
              content: "Done?",
              topicId: "k",
              sessionId: "s",
              favorite: false,
              meta: { avatar: "face-1" },
              createdAt: 1_700_000_000_111,
            },
            {
              id: "m2",
              role: "assistant",
              content: "Yes.",
              topicId: "k",
              sessionId: "s",
              parentId: "m1",
              traceId: "trace-1",
              observationId: "observation-1",
              quotaId: "quota-1",
              userId: "user-1",
              fromModel: "m2",
              fromProvider: "provider-1",
              tools: [{ id: "t", identifier: "oven", apiName: "peek", arguments: '{"shelf":2}', type: "builtin-1" }],
              metadata: { totalInputTokens: 501, totalOutputTokens: 502, tps: 33.25 },
              extra: { translate: { content: "Ja.", from: "en-1", to: "de-1" }, fromModel: "m3" },
              createdAt: 1_700_000_000_999,
              updatedAt: 1_700_000_001_999,
            },
            {
              id: "m3",
              role: "tool",
              content: "done",
              topicId: "k",
              sessionId: "s",
              tool_call_id: "t",
              plugin: { identifier: "oven", apiName: "peek", arguments: '{"shelf":2}', type: "default-2" },
              createdAt: 1_700_000_002_000,
            },
          ],
          sessionGroups: [{ name: "group-1" }],
          plugins: [],
        },
      },
    ],
    counted: {
      exportType: "field of the file",
      version: "field of the file",
      "state.sessionGroups": "row of sessionGroups",
      "state.sessions.0.accessedAt": "time of use",
      "state.sessions.0.updatedAt": "time of use",
      "state.topics.0.accessedAt": "time of use",
    },
    closed: ["", "state"],
  },
  {
    format: "chatbot-ui",
    lines: [
      {
        id: 17,
        name: "Oven",
        prompt: "Be brief.",
        temperature: 0.5,
        folderId: "folder-1",
        model: { id: "m1", name: "Model One", maxLength: 12_000 },
        messages: [
          { role: "user", content: "Done?", type: "text" },
          { role: "assistant", content: "Yes." },
        ],
      },
    ],
    copies: { "messages.0.type": "the content is a text" },
  },
  {
    format: "grok",
    lines: [
      {
        share_count: 7,
        conversation: {
          id: "k",
          title: "Oven",
          create_time: "2025-03-01T08:00:00Z",
          modify_time: "2025-03-01T08:05:00Z",
          starred: false,
          leaf_response_id: "m2",
        },
        responses: [
          {
            response: {
              _id: "m1",
              conversation_id: "k",
              sender: "human",
              message: "Done?",
              create_time: { $date: { $numberLong: "1740816060000" } },
              file_attachments: ["file-1"],
            },
            shared: true,
          },
          {
            response: {
              _id: "m2",
              parent_response_id: "m1",
              sender: "assistant",
              message: "Yes.",
              model: "m1",
              partial: false,
              web_search_results: [{ url: "https://bread.example" }],
            },
          },
        ],
      },
    ],
    copies: { "conversation.leaf_response_id": ids },
    closed: ["responses.0.response.create_time", "responses.0.response.create_time.$date"],
  },
  {
    format: "ai-studio",
    lines: [
      {
        id: "k",
        runSettings: {
          model: "m1",
          temperature: 0.75,
          safetySettings: [{ category: "category-1", threshold: "OFF-1" }],
        },
        systemInstruction: { parts: [{ text: "Be brief." }] },
        chunkedPrompt: {
          chunks: [
            { text: "Done?", role: "user", tokenCount: 411 },
            { driveImage: { id: "drive-1" }, role: "user", tokenCount: 412 },
            {
              text: "Looking",
              role: "model",
              isThought: true,
              tokenCount: 413,
              thinkingBudget: -17,
              parts: [{ text: "Looking", thought: true }],
            },
            {
              text: "Yes.",
              role: "model",
              tokenCount: 414,
              finishReason: "STOP-1",
              createTime: "2025-03-01T08:00:00Z",
              grounding: { promptText: "prompt-1" },
            },
          ],
          pendingInputs: [{ text: "And now", role: "user" }],
        },
      },
    ],
    copies: { "chunkedPrompt.chunks.2.role": role, "chunkedPrompt.chunks.3.role": role },
    counted: { "chunkedPrompt.pendingInputs": "draft" },
  },
]);
