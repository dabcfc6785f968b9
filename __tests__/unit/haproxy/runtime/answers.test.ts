import { expect, test } from "@jest/globals";
import { isAccepted, isBusy, isGone, isUnknownMap, mapVersion } from "../../../../src/haproxy/runtime/answers.ts";

test("only what is on the list is a success", () => {
  expect(isAccepted("empty", "")).toBe(true);
  expect(isAccepted("empty", "Done.")).toBe(false);
  expect(isAccepted("server-added", "New server registered.")).toBe(true);
  expect(isAccepted("server-added", "")).toBe(false);
  expect(isAccepted("server-deleted", "Server deleted.")).toBe(true);
  expect(isAccepted("server-deleted", "Server deleted.\nbut")).toBe(false);
  expect(isAccepted("map-version", "New version created: 12")).toBe(true);
  expect(isAccepted("map-version", "New version created: ")).toBe(false);
  expect(mapVersion("New version created: 12")).toBe("12");
});

test("refusals that mean something", () => {
  expect(isGone("No such server.")).toBe(true);
  expect(isGone("No such backend.")).toBe(true);
  expect(isBusy("Server still has connections attached to it, cannot remove it.")).toBe(true);
  expect(isBusy("This server cannot be removed at runtime due to other configuration elements pointing to it.")).toBe(
    false,
  );
  expect(isUnknownMap("Unknown map identifier. Please use #<id> or <file>.")).toBe(true);
});
