import { describe, expect, test } from "@jest/globals";
import { admits, clientList } from "../../../src/routing/clients.ts";

/** The beginnings a list lets in or refuses, without its name. */
function rows(options: Parameters<typeof clientList>[0]): readonly string[] {
  const { id, rows: all } = clientList(options);
  return all.map(({ key, value }) => `${key.slice(id.length + 1)} ${value}`);
}

describe("a list of clients", () => {
  test("is empty where all may", () => {
    expect(clientList({})).toEqual({ id: "", rows: [] });
  });

  test("has a row per network, and one for all others", () => {
    expect(rows({ allow: ["10.0.0.0/8", "192.0.2.7"] })).toEqual([" !", "40A +", "4C0000207 +"]);
    expect(rows({ deny: ["fe80::/16"] })).toEqual([" +", "6FE80 !"]);
  });

  test("writes a network whose length is no multiple of four by up to eight beginnings", () => {
    expect(rows({ allow: ["10.128.0.0/9"] })).toEqual([" !", ..."89ABCDEF".split("").map((digit) => `40A${digit} +`)]);
    expect(rows({ allow: ["192.0.2.4/31"] })).toEqual([" !", "4C0000204 +", "4C0000205 +"]);
    expect(rows({ allow: ["0.0.0.0/0"] })).toEqual([" !", "4 +"]);
    // What stands behind the length does not count.
    expect(rows({ allow: ["10.1.2.3/8"] })).toEqual([" !", "40A +"]);
  });

  test("has one name for what says the same, another for what does not", () => {
    expect(clientList({ allow: ["10.0.0.0/8"] }).id).toBe(clientList({ allow: ["10.0.0.0/8", "10.0.0.0/8"] }).id);
    expect(clientList({ allow: ["10.0.0.0/8"] }).id).not.toBe(clientList({ deny: ["10.0.0.0/8"] }).id);
  });
});

describe("who is let in", () => {
  const admitted = (options: Parameters<typeof clientList>[0], clients: readonly string[]) =>
    clients.map((client) => admits(clientList(options), client));

  test("by allow: those alone", () => {
    const clients = ["10.0.0.1", "11.0.0.1", "::1", "nonsense", ""];
    expect(admitted({ allow: ["10.0.0.0/8"] }, clients)).toEqual([true, false, false, false, false]);
  });

  test("by deny: all others", () => {
    expect(admitted({ deny: ["10.9.0.0/16"] }, ["10.9.0.1", "10.8.0.1", "::1"])).toEqual([false, true, true]);
  });

  test("deny goes before allow, whichever is narrower", () => {
    const narrowDeny = { allow: ["10.0.0.0/8"], deny: ["10.9.0.0/16"] };
    expect(admitted(narrowDeny, ["10.1.0.1", "10.9.0.1", "11.0.0.1"])).toEqual([true, false, false]);
    const wideDeny = { allow: ["10.9.0.0/16"], deny: ["10.0.0.0/8"] };
    expect(admitted(wideDeny, ["10.1.0.1", "10.9.0.1", "11.0.0.1"])).toEqual([false, false, false]);
    const odd = { allow: ["10.0.0.0/9"], deny: ["10.0.0.0/10"] };
    expect(admitted(odd, ["10.1.0.1", "10.64.0.1", "10.128.0.1"])).toEqual([false, true, false]);
  });

  test("an IPv4 network is none of IPv6, but an IPv4 address within IPv6 is one of IPv4", () => {
    expect(admitted({ allow: ["32.0.0.0/8"] }, ["2000::1", "32.1.1.1", "::ffff:32.1.1.1"])).toEqual([
      false,
      true,
      true,
    ]);
    expect(admitted({ deny: ["::ffff:10.0.0.0/104"] }, ["10.1.1.1", "11.1.1.1"])).toEqual([false, true]);
    expect(admitted({ allow: ["fe80::/10"] }, ["fe80::1", "febf::1", "fec0::1"])).toEqual([true, true, false]);
  });
});
