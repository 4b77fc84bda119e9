/** Agents that were renamed or removed, and sessions that name no agent. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { doctor } from "../../admin.ts";
import { inMemory } from "../../../test/support/in-memory.ts";
import type { Finding } from "../doctor.ts";
import type { Model, ModelRequest } from "../options/model.ts";
import type { Session } from "../session/session.ts";

const secret = "a secret for tests only";

function recording(): { model: Model; requests: ModelRequest[] } {
  const requests: ModelRequest[] = [];
  return {
    requests,
    model: async function* (request) {
      requests.push(request);
      yield { type: "text", text: "fine" };
    },
  };
}

async function answering(session: Session, question: string, options: { agent?: string } = {}): Promise<string> {
  return (await (await session.consult(question, options)).done).agent;
}

test("after its agent was renamed, a device's session is answered by the default agent, with its instructions", async () => {
  const { model, requests } = recording();
  await using place = inMemory({ secret, model, agents: { support: { instructions: "You support.", default: true } } });
  const device = randomUUID();
  assert.equal(await answering(await place.sessions.devices.open(device), "hi"), "support");
  const renamed = { helpdesk: { instructions: "You help.", default: true }, sales: {} };
  const later = place.another({ secret, model, agents: renamed });
  const session = await later.devices.open(device);
  assert.equal(await answering(session, "are you there?"), "helpdesk");
  assert.deepEqual(requests.at(-1)?.messages[0], { role: "system", content: "You help." });
  assert.equal(requests.at(-1)?.messages.length, 4, "it is the same conversation");
  await assert.rejects(session.consult("hm", { agent: "support" }), { code: "agent_unknown" });
  assert.equal((await session.append({ input: "noted" })).agent, "helpdesk");
});

test("if the active agent is unknown, the session's agent answers, and the handoff stays for processes that know it", async () => {
  const { model } = recording();
  await using place = inMemory({ model, agents: { front: { default: true }, billing: {} } });
  const session = await place.sessions.create({ id: "s", agent: "front" });
  await session.handOff("billing");
  const later = await place.another({ model, agents: { front: {} } }).get("s");
  assert.equal(await answering(later, "hi"), "front");
  assert.equal((await later.activeAgent())?.agent, "billing");
  assert.equal(
    await answering(await place.another({ model, agents: { front: {}, billing: {} } }).get("s"), "?"),
    "billing",
  );
});

test("without a default agent a question to an unknown agent fails, and nothing is written", async () => {
  const { model } = recording();
  await using place = inMemory({ model });
  await place.sessions.create({ id: "s", agent: "gone" });
  const session = await place.another({ model, agents: { ceo: {}, cto: {} } }).get("s");
  await assert.rejects(session.consult("hi"), { code: "agent_unknown" });
  assert.equal((await session.refresh()).turn, 0);
  assert.equal(await answering(session, "hi", { agent: "cto" }), "cto");
});

test("the only agent is the default: sessions and devices need not name it", async () => {
  const { model } = recording();
  await using place = inMemory({ secret, model, agents: { ceo: { instructions: "Lead." } } });
  const { sessions } = place;
  assert.equal((await sessions.create()).info.agent, "ceo");
  assert.equal((await sessions.ensure("s")).info.agent, "ceo");
  assert.equal((await sessions.ensure("s")).info.agent, "ceo");
  assert.equal(await answering(await sessions.devices.open(randomUUID()), "hi"), "ceo");
});

test("several agents without a default: a session that names none is refused, and the error names the fix", async () => {
  await using place = inMemory({ secret, agents: { ceo: {}, cto: {} } });
  const { sessions } = place;
  const openings = [() => sessions.create(), () => sessions.ensure("s"), () => sessions.devices.open(randomUUID())];
  for (const opening of openings)
    await assert.rejects(opening, {
      code: "argument_invalid",
      message: /agent is missing; expected one of ceo, cto, or "default": true/,
    });
  assert.deepEqual((await place.sessions.list()).items, []);
  assert.equal((await place.sessions.devices.open(randomUUID(), { agent: "cto" })).info.agent, "cto");
});

test("claim, link and handOff check their options before they write", async () => {
  await using place = inMemory({ secret, agents: { ceo: {}, cto: {} } });
  const { devices } = place.sessions;
  const [device, other] = [randomUUID(), randomUUID()];
  const session = await devices.open(device, { agent: "ceo" });
  await assert.rejects(devices.claim(device, "ada"), { code: "argument_invalid" });
  await assert.rejects(devices.claim(device, "ada", { agent: "gone" }), { code: "agent_unknown" });
  assert.equal((await session.refresh()).user, null);
  const { code } = await devices.linkCode(device);
  await assert.rejects(devices.link(other, code, { agent: "gone" }), { code: "agent_unknown" });
  assert.equal((await devices.link(other, code, { agent: "ceo" })).id, session.id, "the code is still good");
  await assert.rejects(devices.handOff([randomUUID()], "gone"), { code: "agent_unknown" });
  assert.equal((await place.sessions.list()).items.length, 1);
  assert.equal((await devices.claim(device, "ada", { agent: "ceo" })).info.user, "ada");
});

test("update sets another agent, whose instructions replace those of the earlier one", async () => {
  const { model, requests } = recording();
  const agents = { front: { instructions: "You greet." }, billing: { instructions: "You bill." }, plain: {} };
  await using place = inMemory({ model, agents });
  const session = await place.sessions.create({ id: "s", agent: "front" });
  const systemOf = async (): Promise<unknown> => {
    await answering(session, "hi");
    return requests.at(-1)?.messages.filter(({ role }) => role === "system");
  };
  await session.update({ agent: "billing" });
  assert.equal((await place.sessions.get("s")).info.agent, "billing");
  assert.equal(await session.instructions(), "You bill.");
  assert.deepEqual(await systemOf(), [{ role: "system", content: "You bill." }]);
  await session.update({ agent: "plain" });
  assert.equal(await session.instructions(), undefined);
  assert.deepEqual(await systemOf(), []);
  await session.update({ agent: "billing", instructions: "Only refunds." });
  await session.update({ agent: "billing" });
  assert.equal(await session.instructions(), "Only refunds.", "the same agent keeps what it was given");
  await assert.rejects(session.update({ agent: "gone" }), { code: "agent_unknown" });
  await assert.rejects(session.update({ agent: "" }), { code: "id_invalid" });
  assert.equal((await session.refresh()).agent, "billing");
});

test("the doctor reports live sessions whose agent or active agent is unknown, if it knows the agents", async () => {
  await using place = inMemory({ secret });
  for (const id of ["known", "gone", "handed", "over"]) {
    await place.sessions.create({ id, agent: id === "gone" || id === "over" ? "old" : "front" });
  }
  await (await place.sessions.get("handed")).handOff("old");
  await (await place.sessions.get("over")).end();
  await place.sessions.devices.open(randomUUID(), { agent: "front" });
  const examine = async (agents?: Record<string, object>): Promise<readonly Finding[]> => {
    const found: Finding[] = [];
    const options = agents === undefined ? {} : { agents };
    const { findings } = await doctor(place.another(options), { onFinding: (finding) => found.push(finding) });
    assert.equal(findings, found.length);
    return found;
  };
  assert.deepEqual(await examine(), []);
  const found = await examine({ front: { default: true }, sales: {} });
  assert.deepEqual(
    found.map(({ kind, session, what }) => [kind, session, what]),
    [
      ["agent", "gone", 'its agent "old" is unknown: "front" answers in its place; update({ agent }) sets another one'],
      [
        "agent",
        "handed",
        'its active agent "old" is unknown: "front" answers in its place; handOff() or endHandoff() replaces it',
      ],
    ],
  );
});

test("the doctor counts the live sessions that store other instructions than their agent has, and finds no problem", async () => {
  const agents = { front: { instructions: "Greet." }, plain: {} };
  await using place = inMemory({ secret, agents });
  const { sessions } = place;
  for (const id of ["a", "b", "over", "own"]) await sessions.create({ id, agent: "front" });
  await sessions.create({ id: "plain", agent: "plain" });
  await (await sessions.get("own")).update({ instructions: "Greet twice." });
  await (await sessions.get("over")).end();
  const count = async (known?: Record<string, object>): Promise<readonly number[]> => {
    const report = await doctor(place.another(known === undefined ? {} : { agents: known }), { repair: true });
    return [report.otherInstructions, report.findings];
  };
  assert.deepEqual(await count(), [0, 0], "without agents nothing is compared");
  assert.deepEqual(await count(agents), [1, 0]);
  const corrected = { front: { instructions: "Greet briefly." }, plain: { instructions: "Be plain." } };
  assert.deepEqual(await count(corrected), [3, 0], "a session without stored instructions has those of its agent");
  await (await sessions.get("a")).update({ instructions: "Greet briefly." });
  assert.deepEqual(await count(corrected), [2, 0]);
  assert.deepEqual(await count({ plain: {} }), [0, 3], "an unknown agent is a finding");
});
