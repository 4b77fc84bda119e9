/**
 * The conformance suite of the protocol against a server of sessions, in both generations. Its scenarios call tools, resources and
 * prompts by fixed names: they are registered by `extend`. Those of tasks are answers of agents, so the tasks are those of
 * `session_consult`.
 */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import {
  acceptedContent,
  completable,
  createRequestStateCodec,
  inputRequired,
  MissingRequiredClientCapabilityError,
  ProtocolError,
  ResourceTemplate,
  type CallToolResult,
  type McpServer,
  type ServerContext,
} from "@modelcontextprotocol/server";
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { z } from "zod";
import { answerResult } from "../../../src/adapters/mcp/answer-result.ts";
import { knowsTasks, newTask, tasksExtension } from "../../../src/adapters/mcp/tasks.ts";
import { createManager, openSessions, type Model, type Sessions, type Tool } from "../../../src/index.ts";
import { serving } from "./serving.ts";
import { isThorough } from "../../support/rounds.ts";

const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const wav = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";
const textPart = (text: string): { type: "text"; text: string } => ({ type: "text", text });
const said = (text: string): CallToolResult => ({ content: [textPart(text)] });
const user = (text: string): { role: "user"; content: { type: "text"; text: string } } => ({
  role: "user",
  content: textPart(text),
});
const none = z.object({});

/** The capabilities that the client of a request declares. */
function clientOf({ mcpReq }: ServerContext): Parameters<typeof knowsTasks>[0] & { readonly sampling?: object } {
  return Object(
    (mcpReq.envelope as { readonly [name: string]: unknown } | undefined)?.[
      "io.modelcontextprotocol/clientCapabilities"
    ],
  ) as object;
}

/** The tools, resources and prompts of the scenarios that need no session. */
function plainFixtures(server: McpServer): void {
  const tool = (name: string, result: CallToolResult): void =>
    void server.registerTool(name, { description: name, inputSchema: none }, () => result);
  const embedded = {
    uri: "test://embedded-resource",
    mimeType: "text/plain",
    text: "This is an embedded resource content.",
  };
  tool("test_simple_text", said("This is a simple text response for testing."));
  tool("test_image_content", { content: [{ type: "image", data: png, mimeType: "image/png" }] });
  tool("test_audio_content", { content: [{ type: "audio", data: wav, mimeType: "audio/wav" }] });
  tool("test_embedded_resource", { content: [{ type: "resource", resource: embedded }] });
  tool("test_multiple_content_types", {
    content: [
      textPart("Multiple content types test:"),
      { type: "image", data: png, mimeType: "image/png" },
      {
        type: "resource",
        resource: {
          uri: "test://mixed-content-resource",
          mimeType: "application/json",
          text: '{"test":"data","value":123}',
        },
      },
    ],
  });
  server.registerTool("test_error_handling", { description: "Fails", inputSchema: none }, () => {
    throw new Error("This tool intentionally returns an error for testing");
  });
  server.registerTool(
    "test_tool_with_progress",
    { description: "Progress", inputSchema: none },
    async (_, { mcpReq }) => {
      const progressToken = mcpReq._meta?.progressToken;
      for (const progress of progressToken === undefined ? [] : [0, 50, 100])
        await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total: 100 } });
      return said("done");
    },
  );
  server.registerResource("text", "test://static-text", { mimeType: "text/plain" }, ({ href: uri }) => ({
    contents: [{ uri, mimeType: "text/plain", text: "This is the content of the static text resource." }],
  }));
  server.registerResource("binary", "test://static-binary", { mimeType: "image/png" }, ({ href: uri }) => ({
    contents: [{ uri, mimeType: "image/png", blob: png }],
  }));
  const template = new ResourceTemplate("test://template/{id}/data", { list: undefined });
  server.registerResource("template", template, {}, ({ href: uri }, { id }) => ({
    contents: [
      {
        uri,
        mimeType: "application/json",
        text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${String(id)}` }),
      },
    ],
  }));
  server.registerPrompt("test_simple_prompt", { description: "Simple" }, () => ({
    messages: [user("This is a simple prompt for testing.")],
  }));
  const argument = completable(z.string(), (value) => ["paris", "park"].filter((name) => name.startsWith(value)));
  server.registerPrompt(
    "test_prompt_with_arguments",
    { description: "Arguments", argsSchema: z.object({ arg1: argument, arg2: z.string() }) },
    ({ arg1, arg2 }) => ({ messages: [user(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)] }),
  );
  server.registerPrompt(
    "test_prompt_with_embedded_resource",
    { description: "A resource", argsSchema: z.object({ resourceUri: z.string() }) },
    ({ resourceUri: uri }) => ({
      messages: [
        {
          role: "user",
          content: {
            type: "resource",
            resource: { uri, mimeType: "text/plain", text: "Embedded resource content for testing." },
          },
        },
        user("Please process the embedded resource above."),
      ],
    }),
  );
  server.registerPrompt("test_prompt_with_image", { description: "An image" }, () => ({
    messages: [
      { role: "user", content: { type: "image", data: png, mimeType: "image/png" } },
      user("Please analyze the image above."),
    ],
  }));
}

const named = z.object({ name: z.string() });
const asksName = inputRequired.elicit({ message: "What is your name?", requestedSchema: named });
const asksCapital = inputRequired.createMessage({
  messages: [{ role: "user", content: textPart("What is the capital of France?") }],
  maxTokens: 100,
});
const stateCodec = createRequestStateCodec({ key: "a key of a test, which has 32 bytes" });

/** The tools and the prompt of the scenarios that ask the client in several rounds. */
function roundFixtures(server: McpServer): void {
  const tool = (
    name: string,
    work: (context: ServerContext) => Promise<CallToolResult | ReturnType<typeof inputRequired>>,
  ): void =>
    void server.registerTool(name, { description: name, inputSchema: none }, async (_, context) => await work(context));
  tool("test_input_required_result_elicitation", async ({ mcpReq }) => {
    const name = acceptedContent(mcpReq.inputResponses, "user_name", named)?.name;
    return name === undefined ? inputRequired({ inputRequests: { user_name: asksName } }) : said(`Hello, ${name}!`);
  });
  tool("test_input_required_result_sampling", async ({ mcpReq }) => {
    const answer = mcpReq.inputResponses?.["capital_question"];
    return answer === undefined
      ? inputRequired({ inputRequests: { capital_question: asksCapital } })
      : said(JSON.stringify(answer));
  });
  tool("test_input_required_result_list_roots", async ({ mcpReq }) => {
    const roots = mcpReq.inputResponses?.["client_roots"];
    return roots === undefined
      ? inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } })
      : said(JSON.stringify(roots));
  });
  const confirm = inputRequired.elicit({ message: "Please confirm", requestedSchema: z.object({ ok: z.boolean() }) });
  const stated =
    (inputRequests: NonNullable<Parameters<typeof inputRequired>[0]["inputRequests"]>) =>
    async ({ mcpReq }: ServerContext): Promise<CallToolResult | ReturnType<typeof inputRequired>> => {
      const state = mcpReq.requestState<string>();
      if (mcpReq.inputResponses === undefined || state === undefined)
        return inputRequired({ inputRequests, requestState: await stateCodec.mint({ round: 1 }) });
      try {
        await stateCodec.verify(state, undefined as never);
      } catch {
        throw new ProtocolError(-32602, "the state was changed");
      }
      return said(`state-ok ${JSON.stringify(mcpReq.inputResponses)}`);
    };
  tool("test_input_required_result_request_state", stated({ confirm }));
  tool("test_input_required_result_tampered_state", stated({ confirm }));
  tool(
    "test_input_required_result_multiple_inputs",
    stated({ user_name: asksName, greeting: asksCapital, client_roots: inputRequired.listRoots() }),
  );
  tool("test_input_required_result_multi_round", async ({ mcpReq }) => {
    const responses = mcpReq.inputResponses ?? {};
    const asks = (step: string, message: string): ReturnType<typeof inputRequired> =>
      inputRequired({
        inputRequests: { [step]: inputRequired.elicit({ message, requestedSchema: named }) },
        requestState: `before ${step}`,
      });
    if (responses["step2"] !== undefined) return said("both steps are done");
    return responses["step1"] === undefined
      ? asks("step1", "Step 1: What is your name?")
      : asks("step2", "Step 2: What is your favorite color?");
  });
  tool("test_input_required_result_capabilities", async (context) => {
    const { sampling, elicitation } = clientOf(context);
    return inputRequired({
      inputRequests: {
        ...(sampling === undefined ? {} : { question: asksCapital }),
        ...(elicitation === undefined ? {} : { user_name: asksName }),
      },
      requestState: "asked",
    });
  });
  server.registerPrompt("test_input_required_result_prompt", { description: "Asks" }, ({ mcpReq }) => {
    const schema = z.object({ context: z.string() });
    const given = acceptedContent(mcpReq.inputResponses, "user_context", schema)?.context;
    return given === undefined
      ? inputRequired({
          inputRequests: {
            user_context: inputRequired.elicit({
              message: "What context should the prompt use?",
              requestedSchema: schema,
            }),
          },
        })
      : { messages: [user(`Use this context: ${given}`)] };
  });
}

/** Answers as the question says: after a time, with a failure, or once its user has approved a deletion. */
const model: Model = async function* ({ messages, signal }) {
  const asked = JSON.parse(String(messages.findLast(({ role }) => role === "user")?.content)) as {
    readonly seconds?: number;
    readonly fails?: true;
    readonly deletes?: string;
    readonly says?: string;
  };
  if (asked.deletes !== undefined && messages.at(-1)?.role !== "tool") {
    const args = JSON.stringify({ file: asked.deletes });
    const call = { id: "call_1", type: "function" as const, function: { name: "delete", arguments: args } };
    yield { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
    return;
  }
  await sleep((asked.seconds ?? 0) * 1000, undefined, { signal });
  if (asked.fails === true) throw new Error("the job failed");
  yield { type: "text", text: asked.says ?? "The computation is done." };
};

const deletes: Tool = {
  name: "delete",
  description: "Deletes a file.",
  parameters: { type: "object" },
  approve: true,
  run: ({ file }) => `${String(file)} is deleted`,
};

/** The tools of the scenarios of tasks: each asks an agent, as `session_consult` does. */
function taskFixtures(server: McpServer, sessions: Sessions, { send }: ReturnType<typeof createManager>): void {
  const ask = async (question: object, context: ServerContext): Promise<CallToolResult> => {
    const session = await sessions.create({ agent: "jobs" });
    const key = crypto.randomUUID();
    const answer = await send(session, JSON.stringify(question), { key });
    if (knowsTasks(clientOf(context))) return (await newTask(session, { turn: answer.seq, key })) as CallToolResult;
    return answerResult(session, await answer.done) as CallToolResult;
  };
  const requiresTasks = (context: ServerContext): void => {
    if (knowsTasks(clientOf(context))) return;
    throw new MissingRequiredClientCapabilityError({
      requiredCapabilities: { extensions: { [tasksExtension]: {} } },
    });
  };
  server.registerTool("greet", { description: "greet", inputSchema: named }, ({ name }) => said(`Hello, ${name}!`));
  server.registerTool(
    "slow_compute",
    {
      description: "slow_compute",
      inputSchema: z.object({ seconds: z.number().optional(), label: z.string().optional() }),
    },
    async ({ seconds = 0 }, context) => await ask({ seconds }, context),
  );
  server.registerTool("failing_job", { description: "failing_job", inputSchema: none }, async (_, context) => {
    requiresTasks(context);
    return await ask({ seconds: 0.1, fails: true }, context);
  });
  server.registerTool(
    "confirm_delete",
    { description: "confirm_delete", inputSchema: z.object({ filename: z.string().optional() }) },
    async ({ filename = "a file" }, context) => await ask({ deletes: filename }, context),
  );
  server.registerTool(
    "test_tool_with_task",
    { description: "test_tool_with_task", inputSchema: none },
    async (_, context) => {
      requiresTasks(context);
      const name = acceptedContent(context.mcpReq.inputResponses, "user_name", named)?.name;
      return name === undefined
        ? inputRequired({ inputRequests: { user_name: asksName } })
        : await ask({ says: `Hello, ${name}!` }, context);
    },
  );
}

/** The checks that fail, and no others. */
const notServed = {
  "2026-07-28": [
    // These need a tool whose arguments are headers too, and one with a schema of all keywords: sessions have none.
    "http-custom-header-server-validation: sep-2243-server-no-xmcp-tool",
    "http-custom-header-server-validation: sep-2243-server-decode-base64",
    "http-custom-header-server-validation: sep-2243-server-validate-param-match",
    "http-custom-header-server-validation: sep-2243-server-reject-invalid-param-chars",
    "http-custom-header-server-validation: sep-2243-server-reject-param-mismatch",
    // The state of a round is verified by an option of the package's server. Perdure keeps no state in a client.
    "input-required-result-tampered-state: sep-2322-reject-tampered-state",
    "json-schema-2020-12: json-schema-2020-12-tool-found",
    // These need diagnostic tools that answer with errors of the protocol; tools of an extension answer with results.
    "server-stateless: sep-2575-server-rejects-undeclared-capability",
    "server-stateless: sep-2575-missing-capability-http-400",
    "server-stateless: sep-2575-http-server-no-independent-requests-on-stream",
    "server-stateless: sep-2575-server-no-log-without-loglevel",
    // A failed answer is a completed task with an error, and a turn that waits asks for all decisions at once.
    "tasks-lifecycle: sep-2663-tasks-get-status-failed",
    "tasks-mrtr-input: tasks-mrtr-partial-fulfillment",
    "tasks-required-task-error: sep-2663-server-returns-missing-capability-when-required",
  ],
  "2025-11-25": [
    // Without a session of the transport a server asks its client nothing, and tells it nothing outside of a call.
    "elicitation-sep1034-defaults: elicitation-sep1034-general",
    "elicitation-sep1330-enums: elicitation-sep1330-general",
    "logging-set-level: logging-set-level",
    "resources-subscribe: resources-subscribe",
    "resources-unsubscribe: resources-unsubscribe",
    "tools-call-elicitation: tools-call-elicitation",
    "tools-call-sampling: tools-call-sampling",
    "tools-call-with-logging: tools-call-with-logging",
  ],
};

interface Check {
  readonly id: string;
  readonly status: string;
}

/** The checks of a run that fail, as `scenario: check`. */
async function failures(
  url: URL,
  ...args: readonly string[]
): Promise<{ readonly failed: string[]; readonly count: number }> {
  const folder = mkdtempSync(join(tmpdir(), "perdure-conformance-"));
  const suite = join(import.meta.dirname, "node_modules/@modelcontextprotocol/conformance/dist/index.js");
  try {
    // It ends with a status of its own where a check fails.
    await promisify(execFile)(process.execPath, [suite, "server", "--url", url.href, "-o", folder, ...args], {
      maxBuffer: 64 * 1024 * 1024,
    }).catch(() => undefined);
    const files = globSync("*/checks.json", { cwd: folder }).toSorted();
    const failed = files.flatMap((file) =>
      (JSON.parse(readFileSync(join(folder, file), "utf8")) as Check[])
        .filter(({ status }) => status === "FAILURE")
        .map(({ id }) => {
          const scenario = file.replace(/^server-/, "").replace(/-\d{4}-\d\d-\d\dT.*$/, "");
          return `${scenario}: ${id}`;
        }),
    );
    return { failed: [...new Set(failed)], count: files.length };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("the conformance suite passes, in both generations", async () => {
  await using sessions = await openSessions({ store: "memory:", sweep: false, model, agents: { jobs: {} } });
  const manager = createManager({ sessions, tools: { jobs: [deletes] } });
  await using server = await serving(sessions, {
    converse: manager.send,
    approve: manager.approve,
    extend: (mcp: McpServer) => {
      plainFixtures(mcp);
      roundFixtures(mcp);
      taskFixtures(mcp, sessions, manager);
    },
  });
  const now = await failures(server.url, "--requirements", "2026-07-28");
  assert.deepEqual(now, { failed: notServed["2026-07-28"], count: 50 });
  // A quick run has the newer generation.
  if (!isThorough) return;
  const before = await failures(server.url, "--spec-version", "2025-11-25");
  assert.deepEqual(before, { failed: notServed["2025-11-25"], count: 31 });
});
