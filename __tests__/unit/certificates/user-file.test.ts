import { describe, expect, test } from "@jest/globals";
import { readUsers } from "../../../src/certificates/user-file.ts";

const bcrypt = `$2y$05$${"a".repeat(53)}`;
const sha512 = `$6$salt$${"b".repeat(86)}`;
const sha256 = `$5$rounds=5000$salt$${"c".repeat(43)}`;
const yescrypt = `$y$j9T$saltsalt$${"d".repeat(43)}`;

describe("a file of users", () => {
  test("has one a line, with a hash as crypt(3) knows it; comments and empty lines do not count", () => {
    const text = `# staff\n\nann:${bcrypt}\r\nBob B:${sha512}\ncéline:${sha256}:comment\n  dan:${yescrypt}  \n`;
    expect(readUsers(text)).toEqual({
      users: [
        { name: "ann", hash: bcrypt },
        { name: "Bob B", hash: sha512 },
        { name: "céline", hash: sha256 },
        { name: "dan", hash: yescrypt },
      ],
      problems: [],
    });
  });

  test.each([
    ["eve:$apr1$salt$abcdefghijklmnopqrstuv", /line 2: user "eve" has a hash of Apache's own kind/],
    ["eve:{SHA}c2VjcmV0LWhhc2gtMQ==", /line 2: user "eve" has a SHA-1 hash/],
    ["eve:secret-hash", /line 2: user "eve" has no password that is hashed/],
    ["eve", /line 2: user "eve" has no password/],
    [":secret-hash", /line 2: user "" has no name/],
    ["ann:secret-hash", /line 2: user "ann" is there twice/],
    [`eve:$2y$14$${"a".repeat(53)}`, /line 2: user "eve" has a bcrypt hash of cost 14/],
    [`eve:$6$rounds=5000000$salt$${"b".repeat(86)}`, /line 2: user "eve" has a hash of 5000000 rounds/],
    [`e\x01ve:${sha512}`, /line 2: user "e\\u0001ve" has a name that cannot be written/],
    [`eve:${sha512}x\nfoo:${bcrypt} password x`, /line 2: user "eve".*/],
  ])("%j costs that user alone, who is named, and no hash is told", (line, expected) => {
    const { users, problems } = readUsers(`ann:${bcrypt}\n${line}\nzoe:${sha512}\n`);
    expect(users.map(({ name }) => name)).toEqual(["ann", "zoe"]);
    expect(problems[0]).toMatch(expected);
    expect(problems.join("\n")).not.toContain("secret-hash");
  });
});
