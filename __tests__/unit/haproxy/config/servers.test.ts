// biome-ignore-all lint/suspicious/noTemplateCurlyInString: HAProxy writes variables like this
import { describe, expect, test } from "@jest/globals";
import { parseConfig } from "../../../../src/haproxy/config/parse.ts";
import { parseServerAddress } from "../../../../src/haproxy/config/server-address.ts";
import { serverLines } from "../../../../src/haproxy/config/servers.ts";

const servers = (...lines: readonly string[]) => {
  const section = parseConfig(`${lines.join("\n")}\n`).sections.at(-1);
  return section === undefined ? [] : serverLines(section);
};

describe("parseServerAddress", () => {
  test.each<[string, string, number]>([
    ["1.2.3.4:80", "1.2.3.4", 80],
    ["1.2.3.4", "1.2.3.4", 0],
    ["1.2.3.4:", "1.2.3.4", 0],
    ["1.2.3.4:080", "1.2.3.4", 80],
    ["[::1]:80", "::1", 80],
    ["[2001:DB8:0:0::1]", "2001:db8::1", 0],
    ["::1:80", "::1", 80],
    [":::80", "::", 80],
    ["2001:db8:0:1:1:1:1:1:80", "2001:db8:0:1:1:1:1:1", 80],
    ["fe80:0:0:1:0:0:0:1:80", "fe80:0:0:1::1", 80],
    ["::1", ":", 1],
    ["ipv4@1.2.3.4:80", "1.2.3.4", 80],
    ["ipv6@[::1]:80", "::1", 80],
    ["tcp@1.2.3.4:80", "1.2.3.4", 80],
    ["web.example:80", "web.example", 80],
    ["web.example", "web.example", 0],
    ["*:80", "0.0.0.0", 80],
    ["*", "0.0.0.0", 0],
    [":80", "0.0.0.0", 80],
    ["unix@/run/x:1", "unix@/run/x:1", 0],
    ["abns@x", "abns@x", 0],
    ["quic4@1.2.3.4:443", "quic4@1.2.3.4:443", 0],
    ["/run/x", "/run/x", 0],
    ["1.2.3.4:+8", "1.2.3.4:+8", 0],
    ["$HOST:80", "$HOST", 80],
    ["1.2.3.4:${PORT}", "1.2.3.4:${PORT}", 0],
    ["1.2.3.4:65536", "1.2.3.4:65536", 0],
  ])("%s", (written, address, port) => {
    expect(parseServerAddress(written)).toEqual({ address, port });
  });
});

describe("serverLines", () => {
  test("takes a line apart", () => {
    const [server] = servers("backend b", '  server s1 10.0.0.1:80 check weight 20 cookie "a b" disabled');
    expect(server).toEqual({
      name: "s1",
      address: "10.0.0.1",
      port: 80,
      weight: 20,
      maintenance: true,
      options: ["check", "cookie", "a b"],
      defaults: [],
      uncertain: false,
      line: expect.objectContaining({ raw: '  server s1 10.0.0.1:80 check weight 20 cookie "a b" disabled' }),
    });
  });

  test("a word that belongs to the one before is not taken for an option", () => {
    const [server] = servers(
      "backend b",
      "server s 1.2.3.4:80 cookie weight track disabled set-proxy-v2-tlv-fmt(0x20) enabled",
    );
    expect(server).toMatchObject({ weight: 1, maintenance: false });
    expect(server?.options).toEqual(["cookie", "weight", "track", "disabled", "set-proxy-v2-tlv-fmt(0x20)", "enabled"]);
  });

  test("the last weight and state count; a weight HAProxy refuses stays a word", () => {
    const [a, b] = servers(
      "backend b",
      "server a 1.2.3.4:80 weight 5 weight 0 disabled enabled",
      "server b 1.2.3.4:80 weight 257 weight x",
    );
    expect(a).toMatchObject({ weight: 0, maintenance: false, options: [] });
    expect(b).toMatchObject({ weight: 1, options: ["weight", "257", "weight", "x"] });
  });

  test("a server obeys the default-server lines above it and those of its defaults", () => {
    const found = servers(
      "defaults",
      "  default-server inter 1s weight 7",
      "backend b",
      "  server a 1.2.3.4:80",
      "  server b 1.2.3.4:80 weight 3",
      "  default-server weight 9 fall 2 disabled",
      "  server c 1.2.3.4:80",
      "  server d 1.2.3.4:80 enabled",
    );
    expect(found.map(({ name, weight, maintenance, defaults }) => [name, weight, maintenance, defaults])).toEqual([
      ["a", 7, false, ["inter", "1s"]],
      ["b", 3, false, ["inter", "1s"]],
      ["c", 9, true, ["inter", "1s", "fall", "2"]],
      ["d", 9, false, ["inter", "1s", "fall", "2"]],
    ]);
  });

  test("words with environment variables are uncertain", () => {
    const found = servers(
      "listen l",
      "server a 1.2.3.4:80",
      'server b "$HOST:80"',
      "server c '$HOST:80'",
      'default-server inter "$INTER"',
      "server d 1.2.3.4:80",
    );
    expect(found.map(({ uncertain }) => uncertain)).toEqual([false, true, false, true]);
  });

  test("what is no server to balance over stays opaque", () => {
    expect(servers("peers p", "server a 1.2.3.4:80")).toEqual([]);
    expect(servers("ring r", "server a 1.2.3.4:80")).toEqual([]);
    expect(servers("backend b", "server-template a 3 x:80", "server a", "no server a 1.2.3.4:80")).toEqual([]);
    expect(servers(".if 1", "backend b", "server a 1.2.3.4:80")).toEqual([]);
    const around = servers(
      "backend b",
      "server a x:1",
      ".if 1",
      "server b x:1",
      ".else",
      "server c x:1",
      ".endif",
      "server d x:1",
    );
    expect(around.map(({ name }) => name)).toEqual(["a", "d"]);
  });
});
