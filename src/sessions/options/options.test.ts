import assert from "node:assert/strict";
import { test } from "node:test";
import { openMemory } from "../../store/memory.ts";
import { defaultLimits } from "../../domain/values/limits.ts";
import { resolveOptions, type SessionsOptions } from "./options.ts";
import { sessionsOn } from "../sessions.ts";

test("an option that is left out has the documented default", () => {
  const { clock: _, ttlOfUser, handoffTtlOfUser, ...resolved } = resolveOptions({});
  assert.deepEqual(resolved, {
    agents: undefined,
    model: undefined,
    secret: undefined,
    previousSecrets: [],
    deviceIds: "uuid",
    ttlMs: 100 * 365 * 86_400_000,
    maxAgeMs: null,
    handoffTtlMs: 86_400_000,
    budget: null,
    budgets: {},
    window: { turns: 20, tokens: 32_000 },
    compaction: undefined,
    titles: undefined,
    busy: "reject",
    busyOfDevices: "interrupt",
    waitMs: 60_000,
    staleAfterMs: 10_000,
    sweep: { everyMs: 900_000, retentionMs: null, eventRetentionMs: null },
    retention: [],
    attachmentUrl: undefined,
    attachmentStore: undefined,
    inlineBytesMax: Number.MAX_SAFE_INTEGER,
    limits: defaultLimits,
  });
  assert.equal(ttlOfUser("anybody"), undefined);
  assert.equal(handoffTtlOfUser("anybody"), undefined);
});

test("options are frozen, and given limits are merged with the defaults", () => {
  const resolved = resolveOptions({ limits: { readMax: 7 }, sweep: false });
  assert(Object.isFrozen(resolved) && Object.isFrozen(resolved.limits));
  assert.deepEqual(resolved.limits, { ...defaultLimits, readMax: 7 });
  assert.equal(resolved.sweep, null);
});

test("wrong options fail at once, before the store is asked anything", () => {
  const store = openMemory();
  const cases: [code: string, options: unknown][] = [
    ["duration_invalid", { ttl: 0 }],
    ["argument_invalid", { agents: { a: { retention: "90d" } } }],
    ["duration_invalid", { ttl: -1 }],
    ["duration_invalid", { ttl: "tomorrow" }],
    ["duration_invalid", { ttl: Number.POSITIVE_INFINITY }],
    ["duration_invalid", { ttl: null }],
    ["duration_invalid", { maxAge: "0h" }],
    ["duration_invalid", { wait: "-1s" }],
    ["duration_invalid", { staleAfter: "" }],
    ["duration_invalid", { sweep: { every: "1w" } }],
    ["duration_invalid", { sweep: { retention: 0 } }],
    ["duration_invalid", { sweep: { eventRetention: "soon" } }],
    ["duration_invalid", { agents: { ceo: { ttl: "for ever" } } }],
    ["duration_invalid", { maxAge: "never" }],
    ["id_invalid", { agents: { "": {} } }],
    ["id_invalid", { tenant: "" }],
    ["id_invalid", { tenant: "a\u0000b" }],
    ["argument_invalid", { busy: "wait" }],
    ["argument_invalid", { limits: { readMax: 0 } }],
    ["argument_invalid", { limits: { readMax: 1.5 } }],
    ["argument_invalid", { limits: { readMax: "9" } }],
    ["argument_invalid", { limits: { pageSize: 9 } }],
    ["argument_invalid", { limits: { toString: 9 } }],
  ];
  for (const [code, options] of cases) {
    assert.throws(() => sessionsOn(store, options as SessionsOptions), { code }, JSON.stringify(options));
  }
});

test("a time to live that the application computes is checked when it is used", async () => {
  await using sessions = sessionsOn(openMemory(), { ttlOfUser: () => "soon", sweep: false });
  await assert.rejects(sessions.create({ user: "u" }), { code: "duration_invalid" });
  await sessions.create();
});
