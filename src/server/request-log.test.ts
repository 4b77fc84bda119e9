import assert from "node:assert/strict";
import { channel } from "node:diagnostics_channel";
import { test } from "node:test";
import { logBackgroundEvents, type LogEntry } from "./request-log.ts";

test("each replay and each failure of a sweep is one entry with its session and code", () => {
  const log: LogEntry[] = [];
  const stop = logBackgroundEvents((entry) => void log.push(entry));
  const session = "chat-1";
  channel("perdure:fallback").publish({ session, reason: "the store is unreachable" });
  channel("perdure:replay").publish({ session, turns: 2 });
  channel("perdure:replay").publish({ session, turn: 3, parked: "key_reused" });
  channel("perdure:replay").publish({ session, failing: "store_unavailable" });
  channel("perdure:sweep").publish({ failures: [{ session, code: "store_invalid" }], error: "store_busy" });
  stop();
  channel("perdure:replay").publish({ session, turns: 1 });
  assert.deepEqual(log, [
    { level: "warn", event: "fallback", session, reason: "the store is unreachable" },
    { level: "info", event: "replayed", session },
    { level: "error", event: "parked", session, code: "key_reused" },
    { level: "error", event: "replay_failed", session, code: "store_unavailable" },
    { level: "error", event: "session_sweep_failed", session, code: "store_invalid" },
    { level: "error", event: "sweep_failed", code: "store_busy" },
  ]);
});
