import { expect, test } from "@jest/globals";
import { hexDigest } from "../../../src/support/digest.ts";

test("the first digits of the SHA-256 of the text in UTF-8", () => {
  expect(hexDigest("abc")).toBe("ba7816bf8f01cfea");
  expect(hexDigest("abc", 6)).toBe("ba7816");
  expect(hexDigest("", 64)).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  expect(hexDigest("é", 8)).toBe("4a99557e");
});
