import assert from "node:assert/strict";
import test from "node:test";
import { greeting } from "./greeting.js";

test("it greets by name", () => {
  assert.equal(greeting("you"), "hello you");
});
