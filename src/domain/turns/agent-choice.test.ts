import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseAgent, defaultAgent, type KnownAgents } from "./agent-choice.ts";

const now = 1000;

/** Agents by name; a name with a star is marked as the default. */
function agents(names: string): KnownAgents {
  const all = names.split(" ").filter((name) => name !== "");
  return new Map(all.map((name) => [name.replace("*", ""), { default: name.endsWith("*") }]));
}

/** A handoff as "agent" or "agent until" with its expiry. */
function handoffTo(text: string | undefined): { agent: string; since: number; expiresAt: number; note: null } | null {
  if (text === undefined) return null;
  const [agent = "", until = "2000"] = text.split(" ");
  return { agent, since: 0, expiresAt: Number(until), note: null };
}

interface Row {
  readonly title: string;
  /** Undefined: no agents are configured. */
  readonly known?: string;
  /** The agent of the session. */
  readonly session: string;
  readonly handoff?: string;
  readonly named?: string;
  readonly routed?: string;
  readonly answers: string;
}

const rows: readonly Row[] = [
  { title: "the session's agent", known: "front* ceo", session: "ceo", answers: "ceo by session" },
  { title: "any session's agent, if no agents are configured", session: "x", answers: "x by session" },
  { title: "the active agent", known: "front* ceo", session: "front", handoff: "ceo", answers: "ceo by handoff" },
  { title: "any active agent, if no agents are configured", session: "x", handoff: "y", answers: "y by handoff" },
  {
    title: "the session's agent from the instant at which the handoff expires",
    known: "front* ceo",
    session: "front",
    handoff: "ceo 1000",
    answers: "front by session",
  },
  {
    title: "the active agent one millisecond earlier",
    known: "front* ceo",
    session: "front",
    handoff: "ceo 1001",
    answers: "ceo by handoff",
  },
  {
    title: "the named agent before all others",
    known: "front* ceo cto cfo",
    session: "front",
    handoff: "ceo",
    routed: "cfo",
    named: "cto",
    answers: "cto by named",
  },
  { title: "the named agent, known or not", known: "front*", session: "front", named: "x", answers: "x by named" },
  {
    title: "the active agent before the routed one",
    known: "front* ceo cto",
    session: "front",
    handoff: "ceo",
    routed: "cto",
    answers: "ceo by handoff",
  },
  {
    title: "the routed agent before the session's",
    known: "front* ceo",
    session: "front",
    routed: "ceo",
    answers: "ceo by routed",
  },
  {
    title: "the routed agent in place of an active agent that is unknown",
    known: "front* ceo",
    session: "front",
    handoff: "gone",
    routed: "ceo",
    answers: "ceo by routed",
  },
  {
    title: "the session's agent in place of an active agent that is unknown",
    known: "front* ceo",
    session: "ceo",
    handoff: "gone",
    answers: "ceo by session",
  },
  {
    title: "the active agent of a session whose own agent is unknown",
    known: "front* ceo",
    session: "gone",
    handoff: "ceo",
    answers: "ceo by handoff",
  },
  {
    title: "the default agent in place of a session's agent that is unknown",
    known: "ceo front*",
    session: "gone",
    answers: "front by default",
  },
  {
    title: "the default agent if the active agent and the session's are unknown",
    known: "ceo front*",
    session: "gone",
    handoff: "gone-too",
    answers: "front by default",
  },
  { title: "the only agent as the default", known: "ceo", session: "gone", answers: "ceo by default" },
  {
    title: "the agent called assistant as the default",
    known: "ceo assistant",
    session: "x",
    answers: "assistant by default",
  },
  { title: "the unknown agent, if there is no default", known: "ceo cto", session: "gone", answers: "gone by session" },
  { title: "the unknown agent, if no agent is known", known: "", session: "gone", answers: "gone by session" },
];

for (const { title, known, session, handoff, named, routed, answers } of rows) {
  test(`the agent that answers: ${title}`, () => {
    const record = { agent: session, handoff: handoffTo(handoff) };
    const choice = chooseAgent(record, { named, routed }, known === undefined ? undefined : agents(known), now);
    assert.equal(`${choice.agent} by ${choice.by}`, answers);
  });
}

test("the default agent is the marked one, else the only one, else the one called assistant", () => {
  for (const [known, expected] of [
    ["assistant ceo cto*", "cto"],
    ["ceo", "ceo"],
    ["ceo assistant", "assistant"],
    ["ceo cto", undefined],
    ["", undefined],
  ] as const)
    assert.equal(defaultAgent(agents(known)), expected, known);
  assert.equal(defaultAgent(undefined), "assistant");
});
