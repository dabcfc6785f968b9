import { describe, expect, test } from "@jest/globals";
import { parseConfig } from "../../../../src/haproxy/config/parse.ts";
import { bindsOf, covers, type TcpBind } from "../../../../src/haproxy/process/binds.ts";

const binds = (...lines: string[]) => bindsOf(parseConfig(`frontend f\n${lines.join("\n")}\n`));
const tcp = (host: string, firstPort: number, lastPort = firstPort) => ({ kind: "tcp", host, firstPort, lastPort });

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
    ["quic4@:443", []],
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

test("an address covers the same one, and any covers all", () => {
  const [any, one] = binds("  bind :8000-8010", "  bind 127.0.0.1:80") as [TcpBind, TcpBind];
  expect(covers(any, "127.0.0.1", 8005)).toBe(true);
  expect(covers(any, "127.0.0.1", 8011)).toBe(false);
  expect(covers(one, "127.0.0.1", 80)).toBe(true);
  expect(covers(one, "0.0.0.0", 80)).toBe(true);
  expect(covers(one, "::", 80)).toBe(true);
  expect(covers(one, "127.0.0.2", 80)).toBe(false);
});
