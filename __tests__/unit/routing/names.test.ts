import { describe, expect, test } from "@jest/globals";
import { safeName, serverId, serverName } from "../../../src/routing/names.ts";

describe("safeName", () => {
  test.each(["web", "Web", "a.b_c:d-e", "0", "x".repeat(100), "sluice", "xsluice_a"])("%s stays as it is", (name) => {
    expect(safeName(name)).toBe(name);
  });

  test.each([
    ["a b", "a_b-c8687a"],
    ["a\nb", "a_b-7e18f7"],
    ["", "-e3b0c4"],
    ["é", "_-4a9955"],
    ['"$HOME\\', "__HOME_-5626f2"],
    ["sluice_http", "service_http-9d62b6"],
    ["\u202eevil", "_evil-c34b5d"],
  ])("%j gets its safe form and six digits of its digest", (name, expected) => {
    expect(safeName(name)).toBe(expected);
  });

  test("names that differ in what is not safe, or beyond its length, stay apart", () => {
    const names = ["a b", "a\tb", "a_b", "a\u00a0b", "A b", `${"x".repeat(100)}1`, `${"x".repeat(100)}2`];
    expect(new Set(names.map(safeName)).size).toBe(names.length);
  });

  test("is bounded whatever comes in", () => {
    expect(safeName("\u202e".repeat(100_000)).length).toBeLessThanOrEqual(120);
  });

  test("no service can pass for a section of Sluice's own", () => {
    for (const name of ["sluice_http", "sluice_no_route", "sluice_", "sluice_\n"]) {
      expect(safeName(name)).not.toMatch(/^sluice_/);
    }
  });
});

describe("serverName", () => {
  test.each([
    ["the ServiceID", { node: "n1", id: "web-1" }, "10.0.0.1", "web-1_10.0.0.1:80"],
    ["the node where the id is just the service's name", { node: "n1", id: "web" }, "10.0.0.1", "n1_10.0.0.1:80"],
    ["the node where there is no id", { node: "n1", id: "" }, "10.0.0.1", "n1_10.0.0.1:80"],
    ["an id that is the name in other letters", { node: "n1", id: "WEB" }, "10.0.0.1", "WEB_10.0.0.1:80"],
    ["IPv6, without the brackets HAProxy does not take", { node: "n1", id: "w" }, "fd00::2", "w_fd00::2:80"],
    ["an id that is not safe", { node: "n1", id: "a b" }, "10.0.0.1", "a_b-c8687a_10.0.0.1:80"],
  ])("%s", (_, instance, address, expected) => {
    expect(serverName(instance, "web", address, 80)).toBe(expected);
  });

  test("address and port cannot be mistaken for one another", () => {
    const one = serverName({ node: "n", id: "i" }, "web", "fd00::1", 8080);
    expect(one).not.toBe(serverName({ node: "n", id: "i" }, "web", "fd00::1:8080", 80));
  });
});

test("a server id is HAProxy's kind of number and depends on the name alone", () => {
  for (let index = 0; index < 500; index += 1) {
    const id = serverId(`server-${index}`);
    expect(id).toBe(serverId(`server-${index}`));
    expect(Number.isInteger(id) && id >= 1 && id <= 2_147_483_647).toBe(true);
  }
});
