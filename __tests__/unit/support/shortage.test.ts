import { expect, test } from "@jest/globals";
import { SluiceError } from "../../../src/support/errors.ts";
import { isShortage } from "../../../src/support/shortage.ts";

const systemError = (code: string) => Object.assign(new Error(code), { code });
const wrapped = (cause: unknown) => new SluiceError("ERR_HAPROXY_UNREACHABLE", "no answer", { cause });

test("too few descriptors or too little memory is a shortage, also as the cause of the cause", () => {
  expect(isShortage(systemError("EMFILE"))).toBe(true);
  expect(isShortage(systemError("ENFILE"))).toBe(true);
  expect(isShortage(wrapped(wrapped(systemError("ENOMEM"))))).toBe(true);
});

test("what the other side is like is none: nobody there, a full backlog, no cause at all", () => {
  for (const thrown of [
    systemError("ENOENT"),
    wrapped(systemError("EAGAIN")),
    wrapped(undefined),
    "EMFILE",
    undefined,
  ]) {
    expect(isShortage(thrown)).toBe(false);
  }
});
