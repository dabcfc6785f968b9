import { format, inspect } from "node:util";
import { expect, test } from "@jest/globals";
import { Secret } from "../../../src/support/secret.ts";

test("a secret shows in nothing that is printed, and is there for who asks for it", () => {
  const secret = new Secret("key-material");
  const nested = { list: [{ secret }] };
  const shown = [
    JSON.stringify(nested),
    inspect(nested, { depth: 9, showHidden: true }),
    `${secret}`,
    format("%o", nested),
  ];
  for (const text of shown) expect(text).not.toContain("key-material");
  expect(JSON.stringify(nested)).toBe('{"list":[{"secret":"[secret]"}]}');
  expect(secret.reveal()).toBe("key-material");
});
