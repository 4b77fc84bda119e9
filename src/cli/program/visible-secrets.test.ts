import assert from "node:assert/strict";
import { test } from "node:test";
import { optionsWithSecrets } from "./visible-secrets.ts";

test("keys and passwords of URLs on the command line are recognised, other values are not", () => {
  assert.deepEqual(optionsWithSecrets(["events", "--url", "https://a.example", "--key", "pdk_1"]), ["--key"]);
  assert.deepEqual(optionsWithSecrets(["stats", "--store=postgres://app:secret@db/app"]), ["--store"]);
  assert.deepEqual(optionsWithSecrets(["copy", "--from", "sqlite:a.db", "--to", "postgres://u:p@h/d"]), ["--to"]);
  assert.deepEqual(optionsWithSecrets(["stats", "--store", "postgres://app@db/app"]), []);
  assert.deepEqual(optionsWithSecrets(["stats", "--store", "sqlite:a:b@c.db", "--key"]), []);
});
