import { describe, expect, test } from "@jest/globals";
import { canonicalIp, hostAndPort } from "../../../src/support/ip.ts";

describe("canonicalIp", () => {
  test.each([
    ["10.0.0.1", "10.0.0.1"],
    ["::1", "::1"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:0db8::0001", "2001:db8::1"],
    ["::ffff:1.2.3.4", "::ffff:102:304"],
    ["::ffff:102:304", "::ffff:102:304"],
    ["::", "::"],
  ])("%s is %s", (text, canonical) => {
    expect(canonicalIp(text)).toBe(canonical);
  });

  test.each([
    "",
    "web",
    "localhost",
    "1.2.3",
    "01.2.3.4",
    "1.2.3.4.",
    "256.1.1.1",
    "1.2.3.4:80",
    "[::1]",
    "[::1]:80",
    "fe80::1%eth0",
    " 10.0.0.1",
    "10.0.0.1\n",
    "10.0.0.1\0",
    "0x7f000001",
    "::1/128",
    "１０.0.0.1",
  ])("%j is no address", (text) => {
    expect(canonicalIp(text)).toBeUndefined();
  });
});

test("hostAndPort puts IPv6 in brackets", () => {
  expect(hostAndPort("1.2.3.4", 80)).toBe("1.2.3.4:80");
  expect(hostAndPort("::1", 80)).toBe("[::1]:80");
});
