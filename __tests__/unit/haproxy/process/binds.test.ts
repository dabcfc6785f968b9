import { describe, expect, test } from "@jest/globals";
import { parseConfig } from "../../../../src/haproxy/config/parse.ts";
import { type AddressBind, bindsOf, covers } from "../../../../src/haproxy/process/binds.ts";

const binds = (...lines: string[]) => bindsOf(parseConfig(`frontend f\n${lines.join("\n")}\n`));
const tcp = (host: string, firstPort: number, lastPort = firstPort) => ({ kind: "tcp", host, firstPort, lastPort });
const udp = (host: string, firstPort: number) => ({ ...tcp(host, firstPort), kind: "udp" });

describe("addresses of bind lines", () => {
  test.each([
    [":80", [tcp("0.0.0.0", 80)]],
    ["*:80", [tcp("0.0.0.0", 80)]],
    ["1.2.3.4:80", [tcp("1.2.3.4", 80)]],
    ["[::1]:80", [tcp("::1", 80)]],
    ["::1:80", [tcp("::1", 80)]],
    [":::80", [tcp("::", 80)]],
    ["[::]:80", [tcp("::", 80)]],
    ["ipv6@:80", [tcp("::", 80)]],
    ["ipv4@*:80", [tcp("0.0.0.0", 80)]],
    ["ipv6@[fe80::1%eth0]:80", [tcp("fe80::1%eth0", 80)]],
    ["localhost:80", [tcp("localhost", 80)]],
    [":8000-8010", [tcp("0.0.0.0", 8000, 8010)]],
    [":80,[::1]:81,/run/x.sock", [tcp("0.0.0.0", 80), tcp("::1", 81), { kind: "unix", path: "/run/x.sock" }]],
    ["unix@/run/x.sock", [{ kind: "unix", path: "/run/x.sock" }]],
    ["uxst@/run/x.sock", [{ kind: "unix", path: "/run/x.sock" }]],
    ["abns@name", []],
    ["fd@3", []],
    ["sockpair@5", []],
    ["quic4@:443", [udp("0.0.0.0", 443)]],
    ["quic6@:443,quic4@1.2.3.4:443", [udp("::", 443), udp("1.2.3.4", 443)]],
    ["[0:0::1]:80", [tcp("::1", 80)]],
    ["udp@:53", []],
    [":80 namespace blue", []],
    [":80 interface eth1", []],
    ['"$ADDRESS:80"', []],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: HAProxy's syntax, not TypeScript's
    ['"${ADDRESS}:80"', []],
  ])("%s", (written, expected) => {
    expect(binds(`  bind ${written}`)).toMatchObject(expected);
    expect(binds(`  bind ${written}`).length).toBe(expected.length);
  });

  test("options that matter, and line numbers", () => {
    const text =
      "# top\nglobal\n  stats socket /run/a.sock level admin\n  stats socket ipv4@127.0.0.1:9999\n\nfrontend f\n  bind :80 transparent v6only name x\n";
    expect(bindsOf(parseConfig(text))).toMatchObject([
      { line: 3, path: "/run/a.sock", text: "/run/a.sock" },
      { line: 4, host: "127.0.0.1", text: "ipv4@127.0.0.1:9999", transparent: false, v6only: false },
      { line: 7, text: ":80", transparent: true, v6only: true },
    ]);
  });

  test("a prefix is for bind lines alone", () => {
    const text = "global\n  unix-bind prefix /run\n  stats socket /a.sock\nfrontend f\n  bind /b.sock\n";
    expect(bindsOf(parseConfig(text))).toMatchObject([{ path: "/a.sock" }, { path: "/run/b.sock" }]);
  });

  test("what a condition decides about is left out", () => {
    expect(binds("  .if defined(X)", "  bind :80", "  .endif", "  bind :81")).toMatchObject([{ firstPort: 81 }]);
  });
});

describe("peers", () => {
  const peers = (name: string, ...localpeer: string[]) =>
    bindsOf(
      parseConfig(
        `global\n${localpeer.join("\n")}\npeers p\n  peer ${name} 10.0.0.1:1024\n  peer other 10.0.0.2:1024\n`,
      ),
      "this-machine",
    );

  test("this machine listens on its own address, not on the others'", () => {
    expect(peers("this-machine")).toMatchObject([{ ...tcp("10.0.0.1", 1024), line: 4, text: "10.0.0.1:1024" }]);
    expect(peers("that-machine")).toEqual([]);
  });

  test("its name may be set, and an address may stand on a bind line", () => {
    expect(peers("me", "  localpeer me")).toMatchObject([tcp("10.0.0.1", 1024)]);
    expect(peers("this-machine", "  localpeer me")).toEqual([]);
    const text = "global\n  localpeer me\npeers p\n  bind :1024\n  server me\n  server other 10.0.0.2:1024\n";
    expect(bindsOf(parseConfig(text), "this-machine")).toMatchObject([tcp("0.0.0.0", 1024)]);
  });

  test("a name that the environment decides is not known", () => {
    expect(peers("me", '  localpeer "$NAME"')).toEqual([]);
    expect(peers('"$NAME"')).toEqual([]);
  });

  test("elsewhere the word means nothing", () => {
    expect(binds("  peer me 10.0.0.1:1024")).toEqual([]);
  });
});

describe("an address takes in", () => {
  const one = (written: string) => {
    const [bind] = binds(`  bind ${written}`);
    if (bind === undefined || bind.kind === "unix") throw new Error("not an address");
    return bind satisfies AddressBind;
  };

  test.each([
    ["127.0.0.1:80", "127.0.0.1:80", true],
    ["127.0.0.1:80", "127.0.0.2:80", false],
    ["127.0.0.1:80", ":80", false],
    ["[::1]:80", "[::]:80", false],
    [":80", "127.0.0.1:80", true],
    [":80", "[::1]:80", false],
    [":80", "[::]:80", false],
    ["[::]:80", "127.0.0.1:80", true],
    ["[::]:80", "[::1]:80", true],
    ["[::]:80", ":80", true],
    ["[::]:80 v6only", "[::1]:80", true],
    ["[::]:80 v6only", "127.0.0.1:80", false],
    ["[::]:80 v6only", "[::]:80", false],
    ["[::]:80", "[::]:80 v6only", true],
    [":80", "quic4@:80", false],
    ["quic4@:80", "quic4@1.2.3.4:80", true],
    // What a name stands for is not known here.
    ["localhost:80", "127.0.0.1:80", true],
    ["127.0.0.1:80", "localhost:80", true],
    [":80", "localhost:80", true],
  ])("%s and %s: %s", (own, other, expected) => {
    expect(covers(one(own), one(other), 80)).toBe(expected);
  });

  test("the ports of its range alone", () => {
    expect(covers(one(":8000-8010"), one("127.0.0.1:8000-8020"), 8010)).toBe(true);
    expect(covers(one(":8000-8010"), one("127.0.0.1:8000-8020"), 8011)).toBe(false);
  });
});
