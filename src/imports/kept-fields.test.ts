/** No silent loss: every field of a file is in the session that it makes, or in the counts of what is left out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { importText } from "../../test/support/import-text.ts";
import { inMemory } from "../../test/support/in-memory.ts";
import { exportSessions } from "../admin.ts";
import { instantOf } from "./conversations/instants.ts";

interface Example {
  readonly format: string;
  /** The documents of a file, a line each. Texts and numbers differ from each other. */
  readonly lines: readonly object[];
  /** The beginnings of paths to fields that are in no session: what they repeat. */
  readonly copies?: Readonly<Record<string, string>>;
  /** The beginnings of paths to fields that are counted: the kind under which they are. */
  readonly counted?: Readonly<Record<string, string>>;
  /** Objects that get no further field: with one, they would be something else. */
  readonly closed?: readonly string[];
}

const position = "the order of the messages says it";
const role = "the role of the message says it";
const ids = "the id of the last message, which is kept";
const called = {
  id: "call-1",
  type: "function",
  function: { name: "peek", arguments: '{"shelf":4711}' },
};

const examples: readonly Example[] = [
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
  {
    format: "claude-code",
    lines: [
      {
        type: "user",
        uuid: "u1",
        parentUuid: null,
        sessionId: "k",
        cwd: "/w",
        version: "1.0.1",
        gitBranch: "branch-1",
        userType: "external-1",
        timestamp: "2025-04-01T09:00:00Z",
        message: { role: "user", content: "What is in the oven?" },
      },
      {
        type: "assistant",
        uuid: "a1",
        parentUuid: "u1",
        sessionId: "k",
        requestId: "request-1",
        timestamp: "2025-04-01T09:00:02Z",
        message: {
          id: "m1",
          type: "message",
          role: "assistant",
          model: "m",
          stop_reason: "tool_use-1",
          content: [{ type: "tool_use", id: "t1", name: "Bash", input: { command: "ls" } }],
          usage: { input_tokens: 101, output_tokens: 21, service_tier: "standard-1" },
        },
      },
      {
        type: "user",
        uuid: "u2",
        parentUuid: "a1",
        sessionId: "k",
        cwd: "/w/2",
        timestamp: "2025-04-01T09:00:04Z",
        toolUseResult: { stdout: "loaf", structuredPatch: [{ lines: ["line-1"] }] },
        message: { role: "user", content: [{ type: "tool_result", tool_use_id: "t1", content: "loaf" }] },
      },
      {
        type: "assistant",
        uuid: "a2",
        parentUuid: "u2",
        sessionId: "k",
        timestamp: "2025-04-01T09:00:06Z",
        message: {
          id: "m2",
          type: "message",
          role: "assistant",
          model: "m",
          content: [{ type: "text", text: "A loaf." }],
        },
      },
      { type: "summary", summary: "Looking into the oven", leafUuid: "a2" },
      { type: "heartbeat", uuid: "h1", parentUuid: "a2", sessionId: "k", beat: "beat-1" },
    ],
    counted: { "2.toolUseResult": "detail of a tool result", "5": "line of type heartbeat" },
    copies: { "4.type": "it is a title" },
    closed: ["4"],
  },
  {
    format: "codex",
    lines: [
      {
        timestamp: "2025-01-02T03:04:05Z",
        type: "session_meta",
        payload: {
          id: "k",
          cwd: "/w",
          originator: "cli-1",
          timestamp: "2025-01-02T03:04:04Z",
          instructions: "Be brief.",
          git: { branch: "branch-1" },
        },
      },
      {
        timestamp: "2025-01-02T03:04:06Z",
        type: "turn_context",
        payload: { model: "m", approval_policy: "on-request-1", effort: "high-1" },
      },
      { timestamp: "2025-01-02T03:04:07Z", type: "event_msg", payload: { type: "user_message", message: "List." } },
      {
        timestamp: "2025-01-02T03:04:08Z",
        type: "response_item",
        payload: { type: "message", role: "user", content: [{ type: "input_text", text: "List." }] },
      },
      {
        timestamp: "2025-01-02T03:04:09Z",
        type: "response_item",
        payload: { type: "function_call", id: "fc-1", call_id: "c", name: "exec", arguments: "{}" },
      },
      {
        timestamp: "2025-01-02T03:04:10Z",
        type: "response_item",
        payload: { type: "function_call_output", call_id: "c", output: "a.txt" },
      },
      {
        timestamp: "2025-01-02T03:04:11Z",
        type: "response_item",
        payload: { type: "message", role: "assistant", content: [{ type: "output_text", text: "One: a.txt" }] },
      },
      {
        timestamp: "2025-01-02T03:04:12Z",
        type: "event_msg",
        payload: {
          type: "token_count",
          info: {
            last_token_usage: { input_tokens: 501, output_tokens: 502 },
            total_token_usage: { input_tokens: 601, output_tokens: 602 },
          },
          rate_limits: { primary: { used_percent: 12.5 } },
        },
      },
      {
        timestamp: "2025-01-02T03:04:13Z",
        type: "event_msg",
        payload: { type: "turn_aborted", reason: "interrupted-1" },
      },
    ],
    copies: {
      "0.timestamp": "the header has a time of its own",
      "0.type": "the form says it",
      "3.type": "the form says it",
      "4.type": "the form says it",
      "5.type": "the form says it",
      "6.type": "the form says it",
      "7.type": "the form says it",
      "1.timestamp": "the time of the item that follows is kept",
      "2": "the item says it",
      "7.timestamp": "the time of the item before is kept",
    },
    counted: { "8": "event of type turn_aborted" },
    closed: ["0", "1", "7"],
  },
  {
    format: "gemini-cli",
    lines: [
      {
        sessionId: "k",
        projectHash: "hash-1",
        startTime: "2025-01-02T03:04:05Z",
        lastUpdated: "2025-01-02T03:05:05Z",
        summary: "Oven",
        memoryScratchpad: { note: "note-1" },
        messages: [
          { id: "1", type: "user", content: "List", displayContent: "display-1", timestamp: "2025-01-02T03:04:06Z" },
          {
            id: "2",
            type: "gemini",
            content: "Let me look.",
            thoughts: [{ subject: "Looking", description: "warm", timestamp: "2025-01-02T03:04:07Z" }],
            toolCalls: [
              {
                id: "l",
                name: "ls",
                args: {},
                status: "success-1",
                displayName: "List-1",
                description: "Lists-1",
                renderOutputAsMarkdown: true,
                result: [{ functionResponse: { id: "l", name: "ls", response: { output: "a" } } }],
                resultDisplay: "shown-1",
              },
            ],
            tokens: { input: 901, output: 902, tool: 903 },
            model: "m",
          },
          { id: "3", type: "info", content: "notice-1" },
        ],
      },
    ],
    counted: { memoryScratchpad: "memory scratchpad", "messages.2": "notice" },
    closed: ["messages.1.toolCalls.0.args"],
  },
  {
    format: "gemini-cli-prompts",
    lines: [
      { sessionId: "k", messageId: 11, type: "user", message: "List", timestamp: "2025-01-02T03:04:06Z" },
      { sessionId: "k", messageId: 12, type: "user", message: "/quit", timestamp: "2025-01-02T03:04:07Z" },
    ],
    counted: { "1": "command" },
  },
  {
    format: "adk",
    lines: [
      {
        id: "k",
        appName: "bakery",
        userId: "ada",
        state: { shelf: 2 },
        lastUpdateTime: 1_735_689_700.25,
        events: [
          {
            id: "e1",
            invocationId: "i",
            author: "user",
            timestamp: 1_735_689_600.5,
            content: { role: "user", parts: [{ text: "Done?" }] },
          },
          {
            id: "e2",
            invocationId: "i",
            author: "baker",
            partial: true,
            content: { role: "model", parts: [{ text: "Y" }] },
          },
          {
            id: "e3",
            invocationId: "i",
            author: "baker",
            timestamp: 1_735_689_601.5,
            turnComplete: true,
            finishReason: "STOP-1",
            longRunningToolIds: ["tool-1"],
            actions: { stateDelta: { x: "delta-1" }, requestedAuthConfigs: {} },
            content: { role: "model", parts: [{ text: "Looking", thought: true }, { text: "Yes." }] },
            usageMetadata: { promptTokenCount: 201, candidatesTokenCount: 202, trafficType: "traffic-1" },
            errorMessage: "error-1",
          },
          { id: "e4", invocationId: "i", author: "baker", actions: { stateDelta: { y: "delta-2" } } },
        ],
      },
    ],
    counted: { "events.1": "piece of an answer", "events.3": "event without content" },
  },
  {
    format: "adk-eval",
    lines: [
      {
        eval_set_id: "set",
        name: "Set-1",
        creation_timestamp: 1_700_000_000.25,
        eval_cases: [
          {
            eval_id: "k",
            creation_timestamp: 1_700_000_001.25,
            session_input: { app_name: "bakery", user_id: "ada", state: { shelf: 2 } },
            conversation: [
              {
                invocation_id: "i1",
                creation_timestamp: 1_700_000_002.25,
                user_content: { role: "user", parts: [{ text: "Done?" }] },
                intermediate_data: {
                  tool_uses: [{ id: "t", name: "peek", args: { shelf: 3 } }],
                  intermediate_responses: [["taster", [{ text: "Warm." }]]],
                },
                final_response: { role: "model", parts: [{ text: "Yes." }] },
                rubrics: [{ rubric_id: "rubric-1" }],
              },
            ],
          },
          { eval_id: "scenario-1", conversation_scenario: { starting_prompt: "prompt-1" } },
        ],
      },
    ],
    counted: { "eval_cases.1": "scenario" },
    closed: ["eval_cases.0.conversation.0.intermediate_data.tool_uses.0.args"],
  },
  {
    format: "langgraph",
    lines: [
      {
        thread_id: "k",
        created_at: "2025-01-02T03:04:05Z",
        updated_at: "2025-01-02T03:05:05Z",
        status: "idle-1",
        metadata: { owner: "ada", graph_id: "graph-1" },
        next: ["node-1"],
        values: {
          shelf: "shelf-1",
          messages: [
            { type: "human", content: "Done?", id: "h1", additional_kwargs: { a: "kwarg-1" } },
            {
              type: "ai",
              content: "Yes.",
              id: "a1",
              response_metadata: { model_name: "m", finish_reason: "stop-1" },
              usage_metadata: { input_tokens: 301, output_tokens: 302 },
            },
          ],
        },
      },
    ],
    counted: {
      status: "field of the state",
      next: "pending step",
      "values.shelf": "state value",
      "extra*": "field of the state",
      "flag*": "field of the state",
      "values.extra*": "state value",
      "values.flag*": "state value",
    },
  },
  {
    format: "assistants",
    lines: [
      {
        object: "list",
        first_id: "msg-2",
        last_id: "msg-1",
        has_more: false,
        data: [
          {
            id: "run-1",
            object: "thread.run",
            thread_id: "k",
            assistant_id: "asst-1",
            instructions: "Be brief.",
            model: "m",
            status: "completed-1",
            started_at: 1_700_000_002,
            expires_at: 1_700_000_999,
            temperature: 0.75,
            usage: { prompt_tokens: 601, completion_tokens: 602 },
          },
          {
            id: "step-1",
            object: "thread.run.step",
            run_id: "run-1",
            thread_id: "k",
            created_at: 1_700_000_003,
            step_details: {
              type: "tool_calls",
              tool_calls: [{ id: "t", type: "function", function: { name: "peek", arguments: "{}", output: "done" } }],
            },
          },
          {
            id: "step-2",
            object: "thread.run.step",
            run_id: "run-1",
            thread_id: "k",
            created_at: 1_700_000_005,
            step_details: { type: "message_creation", message_creation: { message_id: "msg-2" } },
          },
          {
            id: "msg-2",
            object: "thread.message",
            thread_id: "k",
            assistant_id: "asst-1",
            run_id: "run-1",
            role: "assistant",
            created_at: 1_700_000_004,
            completed_at: 1_700_000_006,
            status: "completed-2",
            content: [
              { type: "text", text: { value: "Yes.", annotations: [{ file_citation: { file_id: "file-1" } }] } },
            ],
          },
          {
            id: "msg-1",
            object: "thread.message",
            thread_id: "k",
            role: "user",
            created_at: 1_700_000_001,
            file_ids: ["file-3"],
            metadata: { mood: "calm" },
            content: [
              { type: "text", text: { value: "Done?" } },
              { type: "image_file", image_file: { file_id: "file-2", detail: "high-1" } },
            ],
          },
        ],
      },
    ],
    copies: {
      object: "the form says it",
      "data.0.object": "the field run says it",
      "data.1.object": "its calls say it",
      "data.2.object": "its step_details say it",
      "data.3.object": role,
      "data.4.object": role,
      has_more: "it says that nothing is missing",
      first_id: "the id of a message, which is kept",
      last_id: "the id of a message, which is kept",
    },
  },
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
];

/** A copy in which each object has two more fields, each with a name and a text of its own. */
function withExtras(value: unknown, closed: readonly string[], path: readonly string[] = []): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item, index) => withExtras(item, closed, [...path, `${index}`]));
  const fields = Object.fromEntries(
    Object.entries(value).map(([name, field]) => [name, withExtras(field, closed, [...path, name])]),
  );
  if (closed.includes(path.join("."))) return fields;
  const number = `${++extras}`.padStart(4, "0");
  return { ...fields, [`extra`]: `+text${number}`, [`flag${number}`]: false };
}

let extras = 0;

/** The texts, numbers and flags of a value, by their paths. */
function scalarsIn(value: unknown, path: readonly string[] = []): readonly (readonly [path: string, value: unknown])[] {
  if (value === null || value === "") return [];
  if (typeof value !== "object") return [[path.join("."), value]];
  return Object.entries(value).flatMap(([name, field]) => scalarsIn(field, [...path, name]));
}

function isSaid(path: string, value: unknown, said: string): boolean {
  if (typeof value === "boolean") return said.includes(`"${path.split(".").at(-1)}":`);
  const at = instantOf(value);
  if (at !== undefined && said.includes(`${at}`)) return true;
  return typeof value === "number"
    ? new RegExp(`(?<![\\d.])${String(value).replace(".", "\\.")}(?![\\d.])`).test(said)
    : said.includes(JSON.stringify(value).slice(1, -1));
}

for (const { format, lines, copies = {}, counted = {}, closed = [] } of examples)
  test(`a file of ${format} loses no field: it is in the session, or counted`, async () => {
    await using place = inMemory({ ttl: "never" });
    const isOne = lines.length === 1;
    const filled = lines.map((line, index) => withExtras(line, closed, isOne ? [] : [`${index}`]));
    const report = await importText(place.sessions, filled.map((line) => JSON.stringify(line)).join("\n"), { format });
    assert.deepEqual([report.restored, report.reasons], [1, []]);
    let said = "";
    for await (const { text } of exportSessions(place.sessions)) said += text;
    const lost = scalarsIn(isOne ? filled[0] : filled).filter(([path, value]) => !isSaid(path, value, said));
    const begins = (path: string, names: object): string | undefined =>
      Object.keys(names).find(
        (name) => path === name || path.startsWith(name.endsWith("*") ? name.slice(0, -1) : `${name}.`),
      );
    const kinds = (path: string): string | undefined => counted[begins(path, counted) ?? ""];
    assert.deepEqual(
      lost.filter(([path]) => begins(path, copies) === undefined && kinds(path) === undefined),
      [],
    );
    for (const kind of Object.values(counted)) assert((report.leftOut[kind] ?? 0) > 0, kind);
  });

/** Files of a list, some of whose items are no objects. */
const damaged: readonly [name: string, file: object, kind: string][] = [
  [
    "claude",
    { uuid: "s", chat_messages: [{ uuid: "1", sender: "human", text: "Hi" }, "lost", 7, null] },
    "unreadable message",
  ],
  [
    "open-webui",
    {
      id: "s",
      chat: {
        history: {
          currentId: "1",
          messages: { 1: { id: "1", role: "user", content: "Hi" }, 2: "lost", 3: 7, 4: null },
        },
      },
    },
    "unreadable message",
  ],
  [
    "open-webui",
    { id: "s", chat: { models: ["m"], messages: [{ role: "user", content: "Hi" }, "lost", 7, null] } },
    "unreadable message",
  ],
  [
    "lobechat",
    {
      exportType: "all",
      state: {
        messages: [{ id: "1", role: "user", content: "Hi", sessionId: "s" }, "lost", 7, null],
        sessions: [{ id: "s" }],
        topics: [],
      },
    },
    "row of messages",
  ],
  [
    "assistants",
    {
      object: "thread",
      id: "s",
      messages: [
        {
          object: "thread.message",
          role: "user",
          content: [{ type: "text", text: { value: "Hi" } }, "lost", 7, null],
        },
      ],
    },
    "unreadable part",
  ],
];

for (const [format, file, kind] of damaged)
  test(`items of a damaged list of ${format} that are no objects are counted: ${kind}`, async () => {
    await using place = inMemory();
    const { restored, leftOut, reasons } = await importText(place.sessions, JSON.stringify(file), { format });
    assert.deepEqual([restored, reasons], [1, []]);
    assert.equal(leftOut[kind], 2, JSON.stringify(leftOut));
  });

test("times that a session cannot have are kept or counted", async () => {
  await using place = inMemory();
  const [early, late, future] = ["2024-01-01T00:00:00.000Z", "2025-01-01T00:00:00.000Z", "2199-01-01T00:00:00.000Z"];
  const importOf = async (id: string, about: object, at: string): Promise<unknown> => {
    const messages = [{ role: "user", content: "Hi", created_at: at }];
    const { leftOut } = await importText(place.sessions, JSON.stringify({ id, ...about, messages }));
    const { metadata, createdAt } = (await place.sessions.get(id)).info;
    return { ...metadata, ...leftOut, began: createdAt.toISOString() };
  };
  assert.deepEqual(await importOf("a", { created_at: late }, early), { createdAt: late, began: early });
  assert.deepEqual(await importOf("b", { updated_at: early }, late), { began: early });
  assert.deepEqual(await importOf("c", { created_at: early, updated_at: late }, late), { began: early });
  const { began: _, ...kept } = (await importOf("d", { created_at: future }, future)) as { readonly began: string };
  assert.deepEqual(kept, { createdAt: future, "time in the future": 1 });
});

test("metadata of a file with fields of their own, and metadata alike those of an export, are kept whole", async () => {
  await using place = inMemory();
  const messages = [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Ho" },
  ];
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3, cost: "C" };
  const times = { created_at: "2025-01-01T00:00:00Z", updated_at: "2025-01-02T00:00:00Z" };
  const plain = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
  const files = [
    { id: "a", title: "T1", metadata: { title: "T2", fields: { x: "fx" } }, messages },
    { id: "b", metadata: { agent: "a", ...times, title: { deep: "X" }, usage }, messages },
    {
      id: "c",
      agent: "baker",
      created_at: "2024-05-01T00:00:00Z",
      metadata: { agent: "a", ...times, usage: plain },
      messages,
    },
  ];
  await importText(place.sessions, files.map((file) => JSON.stringify(file)).join("\n"));
  const infoOf = async (id: string) => (await place.sessions.get(id)).info;
  assert.deepEqual((await infoOf("a")).metadata, { title: "T2", fields: { x: "fx" }, fields_2: { title: "T1" } });
  assert.deepEqual((await infoOf("b")).metadata, files[1]!.metadata);
  const { metadata, agent, createdAt } = await infoOf("c");
  assert.deepEqual([metadata, agent], [files[2]!.metadata, "baker"]);
  assert.equal(createdAt.toISOString(), "2024-05-01T00:00:00.000Z");
});
