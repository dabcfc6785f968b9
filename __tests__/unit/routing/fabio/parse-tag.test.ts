// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Fabio's tags have such placeholders
import { describe, expect, test } from "@jest/globals";
import { type FabioTag, parseTag } from "../../../../src/routing/fabio/parse-tag.ts";

function read(tag: string, prefix = "urlprefix-", datacenter = "dc1"): FabioTag {
  const result = parseTag(tag, prefix, datacenter);
  if (result.kind !== "read") throw new Error(`${tag}: ${JSON.stringify(result)}`);
  return result.tag;
}

const place = (tag: string, prefix?: string, datacenter?: string) => read(tag, prefix, datacenter).place;
const options = (tag: string) => read(`urlprefix-/x ${tag}`).options;
const http = (host: string, path: string, hostPort?: number) => ({
  kind: "http",
  host,
  path,
  ...(hostPort !== undefined && { hostPort }),
});

function problem(tag: string): string {
  const result = parseTag(tag, "urlprefix-", "dc1");
  if (result.kind !== "unreadable") throw new Error(`${tag} was read`);
  return result.problem;
}

describe("the route of a tag, as in Fabio's own tests", () => {
  test.each([
    ["p-/", http("", "/")],
    [" p-/", http("", "/")],
    ["p-/ ", http("", "/")],
    ["p- / ", http("", "/")],
    ["p-/foo", http("", "/foo")],
    ["p- /foo", http("", "/foo")],
    ["p-1.1.1.1:999", http("1.1.1.1", "/", 999)],
    ["p-bar/foo", http("bar", "/foo")],
    ["p-bar/foo/foo", http("bar", "/foo/foo")],
    ["p-www.bar.com/foo/foo", http("www.bar.com", "/foo/foo")],
    ["p-WWW.BAR.COM/foo/Foo", http("www.bar.com", "/foo/Foo")],
    ["p-bar/foo a b c", http("bar", "/foo")],
    ["p-$x/$y", http("", "/")],
    ["p-${x}/${y}", http("", "/")],
    ["p-www.bar.com:80/foo redirect=302,https://www.bar.com", http("www.bar.com", "/foo", 80)],
    ["p-:1234 proto=tcp", { kind: "port", port: 1234 }],
  ])("%s", (tag, expected) => {
    expect(place(tag, "p-")).toEqual(expected);
  });

  test.each(["p", "x-/foo", "P-/foo", "ap-/foo", ""])("%s is no tag of Fabio's", (tag) => {
    expect(parseTag(tag, "p-", "dc1")).toEqual({ kind: "other" });
  });
});

describe("the route of a tag", () => {
  test.each([
    ["urlprefix-mysite.com", http("mysite.com", "/")],
    ["urlprefix-MySite.com", http("mysite.com", "/")],
    ["urlprefix-mysite.com.", http("mysite.com", "/")],
    ["urlprefix-mysite.com./a", http("mysite.com", "/a")],
    ["urlprefix-mysite.com:8080/a", http("mysite.com", "/a", 8080)],
    ["urlprefix-mysite.com:443/", http("mysite.com", "/", 443)],
    ["urlprefix-*.abc.com/foo/", http("*.abc.com", "/foo/")],
    ["urlprefix-*:80/", http("*", "/", 80)],
    ["urlprefix-{a,B}.abc.com/", http("{a,b}.abc.com", "/")],
    ["urlprefix-[ab].abc.com:8080/", http("[ab].abc.com", "/", 8080)],
    ["urlprefix-web.$DC.example.com/$DC/x", http("web.dc1.example.com", "/dc1/x")],
    ["urlprefix-web.${DC}.example.com/${DC}", http("web.dc1.example.com", "/dc1")],
    ["urlprefix-/my.service/Method proto=grpc", http("", "/my.service/Method")],
    ["urlprefix-//a", http("", "//a")],
    ["urlprefix-/a=b,c;d", http("", "/a=b,c;d")],
    ["urlprefix-/ünï", http("", "/ünï")],
    ["urlprefix-:3306", { kind: "port", port: 3306 }],
    ["urlprefix-:3306 proto=https", { kind: "port", port: 3306 }],
    ["urlprefix-127.0.0.1:1234 proto=tcp", { kind: "port", port: 1234 }],
    ["urlprefix-foo.com/ proto=tcp", { kind: "name", host: "foo.com" }],
    ["urlprefix-foo.com proto=tcp", { kind: "name", host: "foo.com" }],
    ["urlprefix-*.foo.com/ proto=tcp+sni", { kind: "name", host: "*.foo.com" }],
    ["urlprefix-foo.com/ proto=https+tcp+sni", { kind: "name", host: "foo.com" }],
  ])("%s", (tag, expected) => {
    expect(place(tag)).toEqual(expected);
  });

  test("a datacenter is in small letters in a host, and as it is in a path", () => {
    expect(place("urlprefix-a.$DC/$DC", "urlprefix-", "FRA")).toEqual(http("a.fra", "/FRA"));
  });

  test("white space may stand around the tag, behind the prefix and between options", () => {
    const tag = read("  urlprefix-  /a   strip=/a \t prepend=/b  ");
    expect([tag.text, tag.place, tag.options.route]).toEqual([
      "urlprefix-  /a   strip=/a \t prepend=/b",
      http("", "/a"),
      { strip: "/a", prepend: "/b" },
    ]);
  });
});

describe("options", () => {
  test.each([
    ["strip=/foo", { strip: "/foo" }],
    ["prepend=/foo", { prepend: "/foo" }],
    ["prepend=foo", { prepend: "/foo" }],
    ["prepend=/baz strip=/foo", { strip: "/foo", prepend: "/baz" }],
    ["strip=/a strip=/b", { strip: "/b" }],
    ["strip=/a=b", { strip: "/a=b" }],
    ["strip=", {}],
    ["strip=/", {}],
    ["host=internal.example.com", { "host-header": "internal.example.com" }],
    ["host=dst", { "host-header": "dst" }],
    ["auth=mybasicauth", { auth: "mybasicauth" }],
    ["allow=ip:10.0.0.0/8,ip:fe80::/10", { allow: ["10.0.0.0/8", "fe80::/10"] }],
    ["allow=ip:192.168.1.0/24,ip:fe80::/10", { allow: ["192.168.1.0/24", "fe80::/10"] }],
    ["deny=ip:10.0.0.0/8,ip:fe80::1234", { deny: ["10.0.0.0/8", "fe80::1234"] }],
    ["deny=ip:fe80::1234,100.123.0.0/16", { deny: ["fe80::1234", "100.123.0.0/16"] }],
    ["allow=IP:127.0.0.1", { allow: ["127.0.0.1"] }],
    ["redirect=301,https://www.google.com/", { redirect: { code: 301, location: "https://www.google.com/" } }],
    ["redirect=302,https://www.bar.com", { redirect: { code: 302, location: "https://www.bar.com/" } }],
    ["redirect=303,https://www.foo.com$path", { redirect: { code: 303, location: "https://www.foo.com$path" } }],
    ["redirect=303,https://www.foo.com/$path", { redirect: { code: 303, location: "https://www.foo.com$path" } }],
    ["redirect=307,https://$host/bbb/$path", { redirect: { code: 307, location: "https://$host/bbb$path" } }],
    ["redirect=308,https://$host$path", { redirect: { code: 308, location: "https://$host$path" } }],
    ["redirect=301,https://$host", { redirect: { code: 301, location: "https://$host/" } }],
    [
      "redirect=301,http://bar.com/a/b?foo=bar#end",
      { redirect: { code: 301, location: "http://bar.com/a/b?foo=bar" } },
    ],
    ["redirect=301,http://bar.com?foo=bar", { redirect: { code: 301, location: "http://bar.com/?foo=bar" } }],
    ["redirect=301,/other", { redirect: { code: 301, location: "/other" } }],
    ["proto=http", {}],
  ])("%s", (text, route) => {
    expect(options(text)).toEqual({ proto: "http", route, server: {}, notes: [] });
  });

  test.each([
    ["proto=https", "https", { protocol: "https" }],
    ["proto=https tlsskipverify=true", "https", { protocol: "https", "tls.verify": "none" }],
    ["proto=https tlsskipverify=false", "https", { protocol: "https" }],
    ["proto=https host=a.b", "https", { protocol: "https", "tls.sni": "a.b" }],
    ["proto=https host=a.b:8443", "https", { protocol: "https", "tls.sni": "a.b" }],
    ["proto=https host=dst", "https", { protocol: "https" }],
    ["proto=grpc", "grpc", { protocol: "grpc" }],
    ["proto=grpcs", "grpcs", { protocol: "grpcs" }],
    ["proto=grpcs grpcservername=my.service", "grpcs", { protocol: "grpcs", "tls.sni": "my.service" }],
    ["proto=grpcs tlsskipverify=true", "grpcs", { protocol: "grpcs", "tls.verify": "none" }],
  ])("%s", (text, proto, server) => {
    const found = options(text);
    expect([found.proto, found.server, found.notes]).toEqual([proto, server, []]);
  });

  test("PROXY protocol is spoken where bytes are passed on", () => {
    expect(read("urlprefix-:3306 proto=tcp pxyproto=true").options).toEqual({
      proto: "tcp",
      route: {},
      server: { protocol: "tcp", "proxy-protocol": "v1" },
      notes: [],
    });
    expect(read("urlprefix-:3306 proto=tcp pxyproto=false").options.server).toEqual({ protocol: "tcp" });
  });

  test.each([
    ["weight=0.5", 0.5],
    ["weight=.05", 0.05],
    ["weight=1e-1", 0.1],
    ["weight=1", 1],
    ["weight=3", 3],
    ["weight=0.1 weight=0.2", 0.2],
    ["weight=0", undefined],
    ["weight=-1", undefined],
    ["weight=", undefined],
  ])("%s", (text, weight) => {
    expect(options(text).weight).toBe(weight);
  });

  test("register", () => {
    expect(options("register=my-name").register).toBe("my-name");
    expect(options("register=foo.com").register).toBe("foo.com");
    expect(options("register=").register).toBeUndefined();
  });

  test.each([
    ["a b c", ['"a" is none of Fabio\'s options and is ignored', '"b" is none', '"c" is none']],
    ["Strip=/a", ['"Strip" is none of Fabio']],
    ["strip=a", ['"strip=a" begins no path and takes nothing off']],
    ["proto=ws", ['"proto=ws" is none of Fabio\'s protocols']],
    ["redirect=301", ['"redirect=301" is not <code>,<url> and is ignored']],
    ["redirect=301,a,b", ['"redirect=301,a,b" is not <code>,<url>']],
    ["tlsskipverify=true", ["tlsskipverify is for proto=https"]],
    ["tlsskipverify=yes proto=https", ['"tlsskipverify=yes" is not tlsskipverify=true']],
    ["pxyproto=true", ["pxyproto is for proto=tcp"]],
    ["grpcservername=a", ["grpcservername is for proto=grpcs"]],
    ["register=a/b", ['"register=a/b" cannot be']],
    ["register=consul", ['"register=consul" cannot be']],
  ])("%s is ignored, by name", (text, notes) => {
    const found = options(text);
    expect([found.notes.length, found.route, found.register]).toEqual([notes.length, {}, undefined]);
    for (const [at, note] of notes.entries()) expect(found.notes[at]).toContain(note);
  });
});

describe("a tag that cannot be read", () => {
  test.each([
    ["urlprefix-", "names no route; write urlprefix-host/path"],
    ["urlprefix-   ", "names no route"],
    ["urlprefix-:", 'asks for the port ":"'],
    ["urlprefix-:0 proto=tcp", 'asks for the port ":0"'],
    ["urlprefix-:65536 proto=tcp", 'asks for the port ":65536"'],
    ["urlprefix-:http proto=tcp", 'asks for the port ":http"'],
    ["urlprefix-:80/foo", 'asks for the port ":80/foo"'],
    ["urlprefix-foo.com:99999/", 'has the port "99999" behind its host'],
    // Without a slash nothing is expanded, and `$` is in no host's name.
    ["urlprefix-web.$DC", 'has the host "web.$dc", which is no host name'],
    ["urlprefix-[a/x", 'has the host "[a", which has a bracket that is not closed'],
    ["urlprefix-bücher.de/", 'has the host "bücher.de", which is no host name'],
    ['urlprefix-a"b/', "which is no host name"],
    ["urlprefix-a%20b/", "which is no host name"],
    ["urlprefix-/a?b=c", "leave out spaces, ? and #"],
    ["urlprefix-/a#b", "leave out spaces, ? and #"],
    ["urlprefix-/a\tb", "leave out spaces, ? and #"],
    ["urlprefix-/a\nb", "leave out spaces, ? and #"],
    ["urlprefix-/a\u0000b", "leave out spaces, ? and #"],
    ["urlprefix-/x weight=abc", 'has the weight "abc"'],
    ["urlprefix-/x weight=50%", 'has the weight "50%"'],
    ["urlprefix-/x weight=NaN", 'has the weight "NaN"'],
    ["urlprefix-/x weight=Inf", 'has the weight "Inf"'],
    ["urlprefix-/x redirect=200,https://a.b/", 'redirects with the code "200"'],
    ["urlprefix-/x redirect=300,https://a.b/", 'redirects with the code "300"'],
    ["urlprefix-/x redirect=abc,https://a.b/", 'redirects with the code "abc"'],
    ["urlprefix-/x redirect=301,", "redirects to no url"],
    ["urlprefix-/x strip=/a?b", "strips"],
    ["urlprefix-/x prepend=/a#b", "prepends"],
    ["urlprefix-/x host=a/b", 'sets the host "a/b"'],
    ['urlprefix-/x host=a"b', "sets the host"],
    ["urlprefix-/x auth=a:b", 'asks for the scheme "a:b"'],
    ["urlprefix-/x allow=ip:10.0.0.0/33", 'has allow="ip:10.0.0.0/33"'],
    ["urlprefix-/x allow=ip:10.0.0.0/8,ip:bogus", 'has allow="ip:bogus"'],
    ["urlprefix-/x allow=geo:de", 'has allow="geo:de"'],
    ["urlprefix-/x deny=10.0.0", 'has deny="10.0.0"'],
    ["urlprefix-/x allow=ip:10.0.0.1 deny=ip:10.0.0.2", "has both allow and deny"],
    ["urlprefix-/x proto=tcp", "has no port for its connections"],
    ["urlprefix-foo.com/x proto=tcp", "has no port for its connections"],
    ["urlprefix-/ proto=tcp", "has no port for its connections"],
    ["urlprefix-/x proto=grpcs grpcservername=a/b", "names the server"],
    [`urlprefix-/${"x".repeat(1_024)}`, "1035 characters long"],
    [`urlprefix-${"x".repeat(254)}/`, "longer than 253 characters"],
    ["urlprefix-/\ud800", "has half a character"],
  ])("%j", (tag, expected) => {
    expect(problem(tag)).toContain(expected);
  });
});

test("whatever a tag holds, what is read of it stands in a line of a map", () => {
  const signs = [..."ab/:.*?[]{}!,\\$=#\"'%| \t\n\u0000\u2028ü-80"];
  let state = 1;
  const pick = (count: number) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % count;
  };
  let kept = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const word = () => Array.from({ length: pick(9) }, () => signs[pick(signs.length)]).join("");
    const keys = ["strip", "prepend", "host", "redirect", "auth", "allow", "register", "grpcservername"];
    const tag = `urlprefix-${word()}/${word()} ${keys[pick(keys.length)]}=${word()}`;
    const result = parseTag(tag, "urlprefix-", "dc1");
    if (result.kind !== "read") continue;
    kept += 1;
    const { place: where, options: asked } = result.tag;
    const carried = [
      ...("host" in where ? [where.host] : []),
      ...("path" in where ? [where.path] : []),
      ...Object.values({ ...asked.route, redirect: asked.route.redirect?.location }).flat(),
      ...Object.values(asked.server),
      asked.register ?? "",
    ];
    for (const one of carried) if (one !== undefined) expect(String(one)).toMatch(/^[^\s\p{C}]*$/u);
  }
  expect(kept).toBeGreaterThan(1_000);
});
