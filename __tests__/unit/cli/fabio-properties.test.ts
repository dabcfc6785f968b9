import { describe, expect, test } from "@jest/globals";
import { parseProperties, readFabioProperties } from "../../../src/cli/fabio-properties.ts";

/** What one property becomes. */
function becomes(line: string) {
  const [verdict] = readFabioProperties(line).verdicts;
  return verdict === undefined ? undefined : [verdict.settings, verdict.note];
}

test("lines, comments and values that go on in the next line", () => {
  const text = [
    "# a comment",
    "! another",
    "",
    "a = 1",
    "  b.c=2=3 ",
    "d: 4",
    "e 5",
    "f =",
    "proxy.addr = 1.2.3.4:80;proto=http, \\",
    "             :443;proto=https",
  ].join("\r\n");
  expect([...parseProperties(text)]).toEqual([
    ["a", "1"],
    ["b.c", "2=3"],
    ["d", "4"],
    ["e", "5"],
    ["f", ""],
    ["proxy.addr", "1.2.3.4:80;proto=http, :443;proto=https"],
  ]);
});

describe("properties", () => {
  test.each([
    ["proxy.addr = :9999", { "http.bind": ":9999" }, ""],
    [
      "proxy.addr = 1.2.3.4:80;proto=http;rt=60s,:443;proto=https;cs=all,:8443;proto=tcp+sni,:3306;proto=tcp",
      { "http.bind": "1.2.3.4:80", "https.bind": ":443", "services.fabioSniPorts": "8443" },
      "with tcp+sni a tag needs proto=tcp here, and its port is for such connections alone",
    ],
    ["proxy.addr = :443;cs=all", { "https.bind": ":443" }, ""],
    [
      "proxy.addr = :443;proto=https+tcp+sni;cs=some",
      { "services.fabioSniPorts": "443" },
      "one port for TLS that is passed on and TLS that is ended cannot be had; give https.bind another; with tcp+sni a tag needs proto=tcp here, and its port is for such connections alone",
    ],
    [
      "proxy.addr = :80;pxyproto=true",
      { "http.bind": ":80" },
      "for PROXY protocol from clients name their networks in http.acceptProxy",
    ],
    ["registry.consul.tagprefix = lb-", { "services.fabioPrefix": "lb-" }, ""],
    ["registry.consul.addr = localhost:8500", { "consul.address": "http://localhost:8500" }, ""],
    ["registry.consul.addr = https://consul:8501", { "consul.address": "https://consul:8501" }, ""],
    [
      "proxy.auth = name=mybasicauth;type=basic;file=p/creds.htpasswd;refresh=30s,name=other;type=basic;file=o;realm=r",
      { "auth.mybasicauth.file": "p/creds.htpasswd", "auth.other.file": "o", "auth.other.realm": "r" },
      "",
    ],
    [
      "proxy.strategy = rr",
      { "services.balance": "roundrobin" },
      "routes with weights are drawn at random in either case",
    ],
    ["proxy.matcher = prefix", {}, ""],
    ["proxy.noroutestatus = 404", {}, ""],
    ["bgp.enabled = true", {}, "is not carried over"],
  ])("%s", (line, settings, note) => {
    expect(becomes(line)).toEqual([settings, note]);
  });

  test("say what cannot be had", () => {
    for (const line of ["proxy.matcher = glob", "proxy.noroutestatus = 503", "registry.backend = file"]) {
      expect(becomes(line)?.[1]).not.toBe("");
    }
  });

  test("that change what a tag means are taken along", () => {
    expect(readFabioProperties("").setup).toEqual({ matcher: "prefix", globs: true });
    const text = "proxy.matcher=iprefix\nglob.matching.disabled=true\nproxy.addr=:80,:3306;proto=tcp,:1;proto=tcp+sni";
    expect(readFabioProperties(text).setup).toEqual({ matcher: "iprefix", globs: false, tcpPorts: new Set([3306]) });
  });

  test("a secret is not said again", () => {
    expect(JSON.stringify(readFabioProperties("registry.consul.token = s3cret").verdicts)).not.toContain("s3cret");
  });
});
