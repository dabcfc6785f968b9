import { describe, expect, test } from "@jest/globals";
import { parseConfig } from "../../../../src/haproxy/config/parse.ts";
import type { Config, Section } from "../../../../src/haproxy/config/types.ts";
import { isOrdered } from "../../../../src/haproxy/plan/map-use.ts";
import { observedBackends } from "../../../../src/haproxy/plan/plan.ts";
import type { PlanInput } from "../../../../src/haproxy/plan/types.ts";
import { haproxy, leavingServer, observed, planned, planText, Texts } from "./fixtures.ts";

/** Text, text, what is to be done. Lines are joined by newlines, each in its section. */
type Row = readonly [what: string, before: readonly string[], after: readonly string[], expected: readonly string[]];

function check(before: readonly string[], after: readonly string[], version = haproxy(2, 6)): readonly string[] {
  const texts = new Texts();
  const [current, wanted] = [before, after].map((lines) => texts.desired(`${lines.join("\n")}\n`));
  if (current === undefined || wanted === undefined) throw new Error("two texts are needed");
  return planText(planned(current, wanted, { capabilities: version }));
}

describe("servers", () => {
  const rows: readonly Row[] = [
    ["nothing", ["backend web", "server a 10.0.0.1:80"], ["backend web", "server a 10.0.0.1:80"], []],
    [
      "nothing but dress",
      ["backend web", "server a 10.0.0.1:80 check # old"],
      ["backend  web", "", "  server a '10.0.0.1':80  check"],
      [],
    ],
    [
      "another order of servers",
      ["backend web", "server a 10.0.0.1:80", "server b 10.0.0.2:80"],
      ["backend web", "server b 10.0.0.2:80", "server a 10.0.0.1:80"],
      [],
    ],
    [
      "one comes",
      ["backend web"],
      ["backend web", "server a 10.0.0.1:80 weight 5 maxconn 3"],
      ["add web/a 10.0.0.1:80 maxconn 3 weight 5"],
    ],
    ["one goes", ["backend web", "server a 10.0.0.1:80"], ["backend web"], ["retire web/a"]],
    [
      "what comes is there before what goes",
      ["backend web", "server a 10.0.0.1:80"],
      ["backend web", "server b [::1]:80"],
      ["add web/b ::1:80 weight 1", "retire web/a"],
    ],
    [
      "a weight",
      ["backend web", "server a 10.0.0.1:80"],
      ["backend web", "server a 10.0.0.1:80 weight 9"],
      ["weight web/a 9"],
    ],
    [
      "who gets weight gets it before another loses all",
      ["backend web", "server a 10.0.0.1:80 weight 1", "server b 10.0.0.2:80 weight 0"],
      ["backend web", "server a 10.0.0.1:80 weight 0", "server b 10.0.0.2:80 weight 1"],
      ["weight web/b 1", "weight web/a 0"],
    ],
    [
      "state: ready before maint",
      ["backend web", "server a 10.0.0.1:80", "server b 10.0.0.2:80 disabled"],
      ["backend web", "server a 10.0.0.1:80 disabled", "server b 10.0.0.2:80"],
      ["state web/b ready", "state web/a maint"],
    ],
    [
      "default-server is spelled out, what belongs to checks too",
      ["backend web", "default-server check ssl verify none weight 3"],
      ["backend web", "default-server check ssl verify none weight 3", "server a 10.0.0.1:80 inter 1s send-proxy-v2"],
      [
        "add web/a 10.0.0.1:80 check ssl verify none inter 1s send-proxy-v2 check-ssl check-send-proxy weight 3 (check)",
      ],
    ],
    [
      "without a check nothing of checks is spelled out, and what is written is not written twice",
      ["backend web", "default-server ssl verify none"],
      [
        "backend web",
        "default-server ssl verify none",
        "server a 10.0.0.1:80",
        "server b 10.0.0.2:80 check no-check-ssl send-proxy check-send-proxy",
      ],
      [
        "add web/a 10.0.0.1:80 ssl verify none weight 1",
        "add web/b 10.0.0.2:80 ssl verify none check no-check-ssl send-proxy check-send-proxy weight 1 (check)",
      ],
    ],
    [
      "no-check takes back a check of default-server: `add server` takes neither then",
      ["backend web", "default-server check inter 5s", "default-server no-check"],
      [
        "backend web",
        "default-server check inter 5s",
        "default-server no-check",
        "server a 10.0.0.1:80",
        "server b 10.0.0.2:80 check",
      ],
      ["add web/a 10.0.0.1:80 inter 5s weight 1", "add web/b 10.0.0.2:80 check inter 5s check weight 1 (check)"],
    ],
    [
      "2.6 makes the cookie of a server that is added only when told",
      ["defaults", "cookie S insert dynamic", "backend web"],
      ["defaults", "cookie S insert dynamic", "backend web", "server a 10.0.0.1:80"],
      ["add web/a 10.0.0.1:80 weight 1 (cookies)"],
    ],
    [
      "what 2.6 does not assume of a server that is added is spelled out: what failed connections come to",
      ["backend web", "default-server check observe layer4"],
      [
        "backend web",
        "default-server check observe layer4",
        "server a 10.0.0.1:80",
        "server b 10.0.0.2:80 error-limit 1 on-error mark-down",
      ],
      [
        "add web/a 10.0.0.1:80 check observe layer4 error-limit 10 on-error fail-check weight 1 (check)",
        "add web/b 10.0.0.2:80 check observe layer4 error-limit 1 on-error mark-down weight 1 (check)",
      ],
    ],
    [
      "the defaults section counts",
      ["defaults", "default-server check inter 5s", "backend web"],
      ["defaults", "default-server check inter 5s", "backend web", "server a 10.0.0.1:80"],
      ["add web/a 10.0.0.1:80 check inter 5s weight 1 (check)"],
    ],
    [
      "a listen section holds servers too",
      ["listen tcp", "bind :1", "server a 10.0.0.1:80"],
      ["listen tcp", "bind :1", "server b 10.0.0.2:80"],
      ["add tcp/b 10.0.0.2:80 weight 1", "retire tcp/a"],
    ],
    [
      "another address under one name",
      ["backend web", "server a 10.0.0.1:80"],
      ["backend web", "server a 10.0.0.2:81 weight 4"],
      ["! server-options-changed: backend web server a moves from 10.0.0.1:80 to 10.0.0.2:81 under one name"],
    ],
    [
      "other words; the weight does not wait",
      ["backend web", "server a 10.0.0.1:80 check"],
      ["backend web", "server a 10.0.0.1:80 check inter 1s weight 2"],
      [
        "weight web/a 2",
        '! server-options-changed: backend web server a has other options: "check" → "check inter 1s"',
      ],
    ],
    [
      "other default-server words: told once, however many servers run with them",
      ["backend web", "default-server inter 1s", "server a 10.0.0.1:80", "server b 10.0.0.2:80"],
      ["backend web", "default-server inter 2s", "server a 10.0.0.1:80", "server b 10.0.0.2:80"],
      [
        '! section-changed: backend web "default-server inter 1s" → "default-server inter 2s"',
        "! server-options-changed: backend web default-server gives other options to servers that run (2 of them)",
      ],
    ],
    [
      "a server that moves out from below default-server",
      ["backend web", "default-server inter 1s", "server a 10.0.0.1:80"],
      ["backend web", "server a 10.0.0.1:80", "default-server inter 1s"],
      ["! server-options-changed: backend web default-server gives other options to servers that run (1 of them)"],
    ],
    [
      "one line from an environment variable stays, the other is for HAProxy to make out",
      ["backend web", 'server a "$A":80', 'server b "$B":80 weight 1'],
      ["backend web", 'server a "$A":80', 'server b "$B":80 weight 2', 'server c "$C":80'],
      [
        "! server-options-changed: backend web server b has another line, and its words depend on environment variables or on an .if that only HAProxy evaluates",
        "! server-not-dynamic: backend web server c cannot be added at run time: its words depend on environment variables or on an .if that only HAProxy evaluates",
      ],
    ],
    [
      "which of two is the variable counts",
      ["backend web", "server a 10.0.0.1:80 cookie \"$A\" track '$B'"],
      ["backend web", "server a 10.0.0.1:80 cookie '$A' track \"$B\""],
      [expect.stringContaining("server-options-changed") as unknown as string],
    ],
    [
      "a text that looks like a variable is not one",
      ["backend web", 'server a 10.0.0.1:80 cookie "$A"'],
      ["backend web", "server a 10.0.0.1:80 cookie '$A'"],
      [
        "! server-options-changed: backend web server a has another line, and its words depend on environment variables or on an .if that only HAProxy evaluates",
      ],
    ],
  ];

  test.each(rows)("%s", (_, before, after, expected) => {
    expect(check(before, after)).toEqual(expected);
  });

  test.each([
    ["server a web.internal:80", 'only HAProxy itself can make out "web.internal" as an address and port'],
    ["server a 10.0.0.1", 'only HAProxy itself can make out "10.0.0.1" as an address and port'],
    ["server a 10.0.0.1:+8", 'only HAProxy itself can make out "10.0.0.1:+8" as an address and port'],
    ["server a /run/a.sock", 'only HAProxy itself can make out "/run/a.sock" as an address and port'],
    ["server a 10.0.0.1:80 disabled", "it starts disabled"],
    ["server a 10.0.0.1:80 resolvers dns", 'HAProxy does not take "resolvers" from a server that is added at run time'],
    [`server a 10.0.0.1:80 ${"alpn h2 ".repeat(27)}check`, "it takes 65 words, a command may have 64"],
  ])("cannot be added: %s", (line, sentence) => {
    expect(check(["backend web"], ["backend web", line])).toEqual([
      `! server-not-dynamic: backend web server a cannot be added at run time: ${sentence}`,
    ]);
  });

  test("as many words as a command may have", () => {
    const longest = `server a 10.0.0.1:80 ${"alpn h2 ".repeat(27)}`;
    expect(check(["backend web"], ["backend web", longest])[0]).toMatch(/^add web\/a /);
    // From 3.0 on there are no pool keywords to leave room for.
    const longer = `server a 10.0.0.1:80 ${"alpn h2 ".repeat(29)}`;
    expect(check(["backend web"], ["backend web", longer], haproxy(3, 0))[0]).toMatch(/^add web\/a /);
    expect(check(["backend web"], ["backend web", `${longer} check`], haproxy(3, 0))[0]).toMatch(/^! /);
  });
});

describe("ways of balancing", () => {
  const withServer = (lines: readonly string[], ...servers: readonly string[]) => [...lines, ...servers];

  test.each([["roundrobin"], ["leastconn"], ["first"], ["random(2)"], ["roundrobin", "hash-type map-based"]])(
    "balance %s %s takes servers and weights",
    (balance, ...more) => {
      const lines = ["backend web", `balance ${balance}`, ...more];
      expect(
        check(
          withServer(lines, "server a 10.0.0.1:80"),
          withServer(lines, "server a 10.0.0.1:80 weight 2", "server b 10.0.0.2:80"),
        ),
      ).toEqual(["add web/b 10.0.0.2:80 weight 1", "weight web/a 2"]);
    },
  );

  test("a fixed set lets servers go and drain, and takes no other change", () => {
    for (const [balance, why] of [
      ["static-rr", "balance static-rr has a fixed set of servers and weights; roundrobin has not"],
      ["source", 'balance source needs "hash-type consistent" to take servers and weights at run time'],
      ["hdr(host)", 'balance hdr(host) needs "hash-type consistent" to take servers and weights at run time'],
    ]) {
      const lines = ["backend web", `balance ${balance}`];
      expect(
        check(
          withServer(lines, "server a 10.0.0.1:80", "server b 10.0.0.2:80", "server c 10.0.0.3:80"),
          withServer(lines, "server a 10.0.0.1:80 weight 2", "server b 10.0.0.2:80 weight 0", "server d 10.0.0.4:80"),
        ),
      ).toEqual([
        "weight web/b 0",
        "retire web/c",
        `! balance-not-dynamic: backend web server a weight 1 → 2: ${why}`,
        `! balance-not-dynamic: backend web server d cannot be added at run time: ${why}`,
      ]);
    }
  });

  test("defaults above it decide where the backend does not say: named ones by name, else the last", () => {
    const defaults = [
      "defaults one",
      "balance source",
      "hash-type consistent",
      "defaults two from one",
      "log global",
      "defaults three",
      "balance static-rr",
    ];
    const add = (header: string) => check([...defaults, header], [...defaults, header, "server a 10.0.0.1:80 id 5"])[0];
    expect(add("backend web from two")).toBe("add web/a 10.0.0.1:80 id 5 weight 1");
    expect(add("backend web")).toContain("static-rr");
  });

  test("defaults below it are not its own", () => {
    const [header, below] = ["backend web", ["defaults", "balance static-rr", "backend x"]];
    expect(check([header, ...below], [header, "server a 10.0.0.1:80", ...below])).toEqual([
      "add web/a 10.0.0.1:80 weight 1",
    ]);
  });

  test("what counts is how the process balances now, not how it will", () => {
    expect(
      check(["backend web", "balance static-rr"], ["backend web", "balance roundrobin", "server a 10.0.0.1:80"]),
    ).toEqual([
      '! section-changed: backend web "balance static-rr" → "balance roundrobin"',
      "! balance-not-dynamic: backend web server a cannot be added at run time: balance static-rr has a fixed set of servers and weights; roundrobin has not",
    ]);
  });

  test("a place on the ring needs an id before 3.0", () => {
    const lines = ["backend web", "balance uri", "hash-type consistent"];
    const add = (line: string, minor: readonly [number, number]) =>
      check(lines, [...lines, line], haproxy(...minor))[0];
    expect(add("server a 10.0.0.1:80", [2, 6])).toContain(
      'HAProxy 2.6.0 gives it a wrong share of a consistent hash without an "id"',
    );
    expect(add("server a 10.0.0.1:80 id 7", [2, 6])).toBe("add web/a 10.0.0.1:80 id 7 weight 1");
    expect(add("server a 10.0.0.1:80", [3, 0])).toBe("add web/a 10.0.0.1:80 weight 1");
  });
});

describe("words of versions", () => {
  test.each([
    ["cookie x", [2, 6], false],
    ["cookie x", [3, 0], true],
    ["guid x", [2, 9], false],
    ["guid x", [3, 0], true],
    ["pool-conn-name x", [2, 6], false],
    ["set-proxy-v2-tlv-fmt(0x20) x", [2, 9], false],
    ["set-proxy-v2-tlv-fmt(0x20) x", [3, 0], true],
    ["init-state up", [3, 0], false],
    ["init-state up", [3, 2], true],
    ["init-state up", [3, 4], true],
    ["shard 2", [2, 7], false],
    ["shard 2", [2, 8], true],
    ["resolvers x", [3, 4], false],
    ["maxconn 5", [2, 6], true],
  ] as const)("%s in %p: %p", (words, [major, minor], dynamic) => {
    const after = ["backend web", `server a 10.0.0.1:80 ${words}`];
    expect(check(["backend web"], after, haproxy(major, minor))).toEqual([
      dynamic ? `add web/a 10.0.0.1:80 ${words} weight 1` : expect.stringMatching(/^! server-not-dynamic: /),
    ]);
  });

  test("the sentence says which version takes it", () => {
    expect(check(["backend web"], ["backend web", "server a 10.0.0.1:80 cookie x"])).toEqual([
      '! server-not-dynamic: backend web server a cannot be added at run time: HAProxy 2.6.0 does not take "cookie" from a server that is added at run time (3.0 does)',
    ]);
  });
});

describe("structure", () => {
  const rows: readonly Row[] = [
    ["a backend comes", [], ["backend web", "server a 10.0.0.1:80"], ["! backend-added: backend web is new"]],
    ["a backend goes", ["backend web", "server a 10.0.0.1:80"], [], ["! backend-removed: backend web is gone"]],
    ["a frontend comes", [], ["frontend f"], ["! section-added: frontend f is new"]],
    ["a second global goes", ["global", "global", "daemon"], ["global"], ["! section-removed: global is gone"]],
    [
      "a line changes",
      ["frontend f", "bind :80", "mode http"],
      ["frontend f", "bind :81", "mode http"],
      ['! section-changed: frontend f "bind :80" → "bind :81"'],
    ],
    ["a line comes", ["defaults"], ["defaults", "log global"], ['! section-changed: defaults "log global" is new']],
    ["a line goes", ["defaults", "log global"], ["defaults"], ['! section-changed: defaults "log global" is gone']],
    [
      "dress beside a change is not shown",
      ["defaults", "log  global # here", "mode http"],
      ["defaults", "log global", "mode tcp"],
      ['! section-changed: defaults "mode http" → "mode tcp"'],
    ],
    [
      "servers apart",
      ["backend web", "server a 10.0.0.1:80 disabled", "mode http"],
      ["backend web", "server a 10.0.0.1:80", "mode tcp"],
      ["state web/a ready", '! section-changed: backend web "mode http" → "mode tcp"'],
    ],
    [
      "another order of lines",
      ["frontend f", "acl a b", "acl c d"],
      ["frontend f", "acl c d", "acl a b"],
      ["! section-changed: frontend f its lines stand in another order, or not as often"],
    ],
    [
      "other defaults by name",
      ["defaults a", "defaults b", "backend web from a"],
      ["defaults a", "defaults b", "backend web from b"],
      ['! section-changed: backend web "backend web from a" → "backend web from b"'],
    ],
    [
      "another order of sections",
      ["defaults", "mode http", "frontend f", "backend web"],
      ["frontend f", "defaults", "mode http", "backend web"],
      ["! section-changed: configuration the sections stand in another order"],
    ],
    [
      "a condition before the first section",
      [".if feature(A)", "global", ".endif"],
      [".if feature(B)", "global", ".endif"],
      ["! section-changed: configuration what stands before the first section"],
    ],
    [
      "a condition around a section",
      ["global", ".if 1", "backend web", ".endif"],
      ["global", "backend web"],
      ['! section-changed: global ".if 1" is gone', "! section-changed: backend web stands in an .if block no more"],
    ],
    [
      "servers of other kinds of sections are lines like any other",
      ["peers p", "server a 10.0.0.1:80"],
      ["peers p", "server a 10.0.0.2:80"],
      ['! section-changed: peers p "server a 10.0.0.1:80" → "server a 10.0.0.2:80"'],
    ],
    [
      "a server within an .if too",
      ["backend web", ".if 1", "server a 10.0.0.1:80", ".endif"],
      ["backend web", ".if 1", "server a 10.0.0.2:80", ".endif"],
      ['! section-changed: backend web "server a 10.0.0.1:80" → "server a 10.0.0.2:80"'],
    ],
    [
      "endpoints do not wait for the structure",
      ["backend web", "server a 10.0.0.1:80"],
      ["backend web", "server b 10.0.0.2:80", "backend api", "server c 10.0.0.3:80"],
      ["add web/b 10.0.0.2:80 weight 1", "retire web/a", "! backend-added: backend api is new"],
    ],
  ];

  test.each(rows)("%s", (_, before, after, expected) => {
    expect(check(before, after)).toEqual(expected);
  });

  test("all reasons are told, and each is a change", () => {
    const texts = new Texts();
    const plan = planned(
      texts.desired("defaults\n mode http\nbackend a\nbackend web\n"),
      texts.desired("defaults\n mode tcp\nbackend b\nbackend web\n server a 10.0.0.1:80\n"),
    );
    expect(plan.reload?.map(({ code }) => code)).toEqual(["section-changed", "backend-added", "backend-removed"]);
    expect(plan.changes).toEqual([
      { subject: "web", sentence: "+ a (10.0.0.1:80, weight 1)" },
      { subject: "defaults", sentence: '"mode http" → "mode tcp"' },
      { subject: "backend b", sentence: "is new" },
      { subject: "backend a", sentence: "is gone" },
    ]);
  });
});

describe("secrets are not told", () => {
  test.each([
    ["stats auth admin:hunter2", "stats auth admin:s3cret"],
    ["user admin insecure-password hunter2", "user admin insecure-password s3cret"],
    ["user admin password hunter2", "user admin password s3cret"],
    ["setenv CONSUL hunter2", "setenv CONSUL s3cret"],
    ['http-request set-header Authorization "Basic hunter2"', 'http-request set-header Authorization "Basic s3cret"'],
    ["http-check send hdr X-Api-Key hunter2", "http-check send hdr X-Api-Key s3cret"],
    [
      "option httpchk GET / HTTP/1.1\\r\\nAuthorization:\\ hunter2",
      "option httpchk GET / HTTP/1.1\\r\\nAuthorization:\\ s3cret",
    ],
    ["http-request deny unless { req.hdr(x-token) hunter2 }", "http-request deny unless { req.hdr(x-token) s3cret }"],
  ])("%s", (before, after) => {
    for (const [one, other] of [
      [[before], [after]],
      [[before], []],
      [[], [after]],
      [[before], ["log global"]],
    ] as const) {
      const plan = check(["userlist u", ...one], ["userlist u", ...other]);
      expect(plan).toHaveLength(1);
      expect(plan[0]).not.toMatch(/hunter2|s3cret/);
      expect(plan[0]).toContain("section-changed: userlist u ");
    }
  });

  test("the line is named, and a long one is cut", () => {
    expect(check(["frontend f", "stats auth a:b"], ["frontend f", "stats auth a:c"])).toEqual([
      '! section-changed: frontend f "stats auth …" has changed in what is not shown here',
    ]);
    const [long] = check(["frontend f"], ["frontend f", `acl ${"x".repeat(10_000)}`]);
    expect(long?.length).toBeLessThan(300);
  });
});

describe("maps", () => {
  const file = "/maps/hosts.map";
  const backends = (...names: readonly string[]) => names.map((name) => `backend ${name}\n`).join("");
  const plan = (before: string, now: string | undefined, after: string, next: string) => {
    const texts = new Texts();
    const maps = (text: string | undefined): Record<string, string> => (text === undefined ? {} : { [file]: text });
    return planned(texts.desired(before, maps(now)), texts.desired(after, maps(next)));
  };

  test("entries are replaced in one piece", () => {
    const { operations, reload, changes } = plan(
      backends("a", "b"),
      "x a\n",
      backends("a", "b"),
      "# all\nx b\ny  a opt=1\n",
    );
    expect(operations).toEqual([
      {
        kind: "replace-map",
        file,
        entries: [
          { key: "x", value: "b" },
          { key: "y", value: "a opt=1" },
        ],
      },
    ]);
    expect(reload).toBeUndefined();
    expect(changes).toEqual([{ subject: `map ${file}`, sentence: "entries: 1 new, 1 changed" }]);
  });

  test.each([
    ["the same text", "x a\n", "x a\n"],
    ["the same entries in another dress", "x a\n", "# c\n\n  x \t a  \r\n"],
  ])("nothing to do: %s", (_, now, next) => {
    expect(planText(plan(backends("a"), now, backends("a"), next))).toEqual([]);
  });

  test("the order counts, since the first of two counts", () => {
    expect(planText(plan(backends("a", "b"), "x a\nx b\n", backends("a", "b"), "x b\nx a\n"))).toEqual([
      `map ${file}: x b, x a`,
    ]);
  });

  test("a map that is not loaded yet needs a reload", () => {
    expect(planText(plan(backends("a"), undefined, backends("a"), "x a\n"))).toEqual([
      `! map-added: map ${file} HAProxy has not loaded this map file yet`,
    ]);
  });

  test("entries that lead to a backend that is not loaded yet wait as they are, the others do not", () => {
    expect(
      planText(plan(backends("a", "b"), "x a\ny b\n", backends("a", "c"), "x c;strip\ny a\nz b\nw other\n")),
    ).toEqual([
      `map ${file}: x a, y a, z b, w other`,
      "! backend-added: backend c is new",
      "! backend-removed: backend b is gone",
    ]);
  });

  test("where only such entries are new, nothing is sent", () => {
    expect(planText(plan(backends("a"), "x a\n", backends("a", "c"), "x a\ny c\n"))).toEqual([
      "! backend-added: backend c is new",
    ]);
  });

  test("maps come behind what comes and before what goes", () => {
    const texts = new Texts();
    const before = texts.desired("backend a\n server s 10.0.0.1:80\n server t 10.0.0.3:80\n", { [file]: "x a\n" });
    const after = texts.desired("backend a\n server t 10.0.0.3:80 weight 0\n server u 10.0.0.2:80\n", {
      [file]: "y a\n",
    });
    expect(planText(planned(before, after))).toEqual([
      "add a/u 10.0.0.2:80 weight 1",
      `map ${file}: y a`,
      "weight a/t 0",
      "retire a/s",
    ]);
  });
});

describe("several maps, of which each refers to those before it", () => {
  const text = [
    "frontend f",
    " http-request set-var(txn.a) path,map(/m/ids)",
    " http-request set-var(txn.b) path,map_beg(/m/shares,x)",
    " http-request set-var(txn.c) path,map_reg(/m/conditions)",
    " use_backend %[path,map_beg(/m/routes)]",
    "",
  ].join("\n");
  type Maps = Readonly<Partial<Record<"ids" | "shares" | "conditions" | "routes", string>>>;
  const plan = (now: Maps, next: Maps) => {
    const texts = new Texts();
    const maps = (one: Maps) =>
      Object.fromEntries(
        (["ids", "shares", "conditions", "routes"] as const).map((name) => [`/m/${name}`, one[name] ?? ""]),
      );
    return planned(texts.desired(text, maps(now)), texts.desired(text, maps(next)));
  };

  test("what comes in their order, what goes in reverse; a map that is tried in its order by transaction", () => {
    expect(
      planText(
        plan(
          { ids: "1 x\n", shares: "s/ a\n", conditions: "^1 a\n^0 b\n", routes: "/a a|1\n/b b\n" },
          { ids: "2 x\n", shares: "t/ a\n", conditions: "^2 a\n^0 b\n", routes: "/a a|2\n/c c\n" },
        ),
      ),
    ).toEqual([
      "map /m/ids: +2 x",
      "map /m/shares: +t/ a",
      "map /m/conditions: ^2 a, ^0 b, ^1 a",
      "map /m/routes: +/c c, ~/a a|2",
      "map /m/routes: -/b",
      "map /m/conditions: ^2 a, ^0 b",
      "map /m/shares: -s/",
      "map /m/ids: -1",
    ]);
  });

  test("one alone in one step", () => {
    expect(planText(plan({ routes: "/a a\n/b b\n" }, { routes: "/c c\n/b d\n" }))).toEqual([
      "map /m/routes: +/c c, ~/b d, -/a",
    ]);
    expect(planText(plan({ conditions: "1 a\n2 b\n" }, { conditions: "2 b\n" }))).toEqual(["map /m/conditions: 2 b"]);
  });

  test("the order of a map that is looked up in a tree does not count, that of others does", () => {
    expect(planText(plan({ routes: "/a a\n/b b\n/a c\n" }, { routes: "/b b\n/a a\n" }))).toEqual([]);
    const { operations, changes } = plan({ conditions: "1 a\n2 b\n" }, { conditions: "2 b\n1 a\n" });
    expect(operations).toHaveLength(1);
    expect(changes).toEqual([{ subject: "map /m/conditions", sentence: "its entries stand in another order" }]);
  });

  test("many entries, or what no word of a command carries, by transaction", () => {
    const many = Array.from({ length: 501 }, (_, index) => `/${index} a\n`).join("");
    const kinds = (now: Maps, next: Maps) => plan(now, next).operations.map(({ kind }) => kind);
    expect(kinds({}, { routes: many })).toEqual(["replace-map"]);
    expect(kinds({}, { routes: many, ids: "1 x\n" })).toEqual(["edit-map", "replace-map"]);
    expect(kinds({ routes: many, ids: "1 x\n" }, {})).toEqual(["replace-map", "edit-map"]);
    expect(kinds({ routes: " #a a\n" }, {})).toEqual(["replace-map"]);
    expect(kinds({}, { routes: " #a a\n" })).toEqual(["edit-map"]);
    expect(kinds({ routes: "/a a\n" }, { routes: "/a <<a\n" })).toEqual(["replace-map"]);
    expect(kinds({ routes: "/a a\n" }, { routes: "/a b\tc\n" })).toEqual(["replace-map"]);
  });
});

describe("backends made at run time", () => {
  const common = [
    "defaults d",
    "default-server check maxconn 5",
    "balance roundrobin",
    "defaults e from d",
    "mode http",
  ];
  const web = ["backend web from e", "server a 10.0.0.1:80"];
  const api = ["backend api from e", "server b 10.0.0.2:80 weight 3", "", "# words for people", "server c 10.0.0.3:80"];
  const plan = (before: readonly string[], after: readonly string[], more: Partial<PlanInput> = {}) => {
    const texts = new Texts();
    const [current, wanted] = [before, after].map((lines) => texts.desired(`${lines.join("\n")}\n`));
    if (current === undefined || wanted === undefined) throw new Error("two texts are needed");
    return planText(planned(current, wanted, { capabilities: haproxy(3, 4), ...more }));
  };
  const added = [
    "add api/b 10.0.0.2:80 check maxconn 5 weight 3 (check)",
    "add api/c 10.0.0.3:80 check maxconn 5 weight 1 (check)",
    "publish backend api",
  ];

  test("one that is new is added, filled with servers that have all their words, and published", () => {
    expect(plan([...common, ...web], [...common, ...api, ...web])).toEqual(["add backend api from e", ...added]);
    expect(plan([...common, ...web], [...common, ...web, "backend api from e"])).toEqual([
      "add backend api from e",
      "publish backend api",
    ]);
  });

  test("one that is gone is unpublished, and its servers leave", () => {
    expect(plan([...common, ...api, ...web], [...common, ...web])).toEqual([
      "unpublish backend api",
      "retire api/b",
      "retire api/c",
    ]);
  });

  test("one that is still leaving is filled and published again, if it is of the same kind", () => {
    const left = (defaults: string) => ({
      leavingBackends: new Map([["api", { backend: "api", defaults }]]),
      leaving: new Map([
        ["api/b", leavingServer("api", "b", { address: "10.0.0.2", options: ["check", "maxconn", "5"] })] as const,
      ]),
    });
    expect(plan([...common, ...web], [...common, ...api, ...web], left("e"))).toEqual([
      "revive api/b weight 3 (check)",
      ...added.slice(1),
    ]);
    expect(plan([...common, ...web], [...common, ...api, ...web], left("d"))).toEqual([
      "! backend-added: backend api is new",
    ]);
  });

  const isNew = "! backend-added: backend api is new";
  test.each([
    ["an older version", { capabilities: haproxy(3, 2) }, common, ["backend api from e"]],
    ["no named defaults", {}, common, ["backend api"]],
    ["a line of its own", {}, common, ["backend api from e", "balance leastconn"]],
    ["a server that HAProxy would not add", {}, common, ["backend api from e", "server b host:80"]],
    ["servers it does not know", {}, common, ["backend api from e", "server-template t 3 10.0.0.1:80"]],
    ["more words in its header", {}, common, ["backend api from e more"]],
    [
      "defaults that balance in another way",
      {},
      ["defaults e", "balance source"],
      ["backend api from e", "server b 10.0.0.1:80"],
    ],
  ])("%s takes a reload", (_, more, defaults, lines) => {
    expect(plan([...defaults, ...web], [...defaults, ...web, ...lines], more)).toEqual([isNew]);
  });

  test("defaults that are new or change take it with them", () => {
    expect(plan(web, [...web, "defaults e", "backend api from e"])).toContain(isNew);
    const other = common.map((line) => line.replace("roundrobin", "leastconn"));
    expect(plan([...common, ...web], [...other, ...web, ...api])).toContain(isNew);
  });

  test("what goes and says more than servers takes a reload", () => {
    const more = [...common, ...web, "backend api from e", "option httpchk"];
    expect(plan(more, [...common, ...web])).toEqual(["! backend-removed: backend api is gone"]);
  });

  test("another order of what stays takes a reload, not that something came in between", () => {
    const other = ["backend other from e", "option httpchk"];
    expect(plan([...common, ...web, ...other], [...common, ...web, "backend api from e", ...other])).toEqual([
      "add backend api from e",
      "publish backend api",
    ]);
    expect(plan([...common, ...web, ...other], [...common, ...other, "backend api from e", ...web])).toEqual([
      "add backend api from e",
      "publish backend api",
      "! section-changed: configuration the sections stand in another order",
    ]);
  });

  test("maps lead there behind its publishing, and no more before it is unpublished", () => {
    const texts = new Texts();
    const frontend = ["frontend f", "use_backend %[path,map(/m)]"];
    const state = (lines: readonly string[], map: string) =>
      texts.desired(`${[...common, ...frontend, ...lines].join("\n")}\n`, { "/m": map });
    const [before, after] = [state(web, "/w web\n"), state([...api, ...web], "/w web\n/a api\n")];
    const capabilities = haproxy(3, 4);
    expect(planText(planned(before, after, { capabilities }))).toEqual([
      "add backend api from e",
      ...added,
      "map /m: +/a api",
    ]);
    expect(planText(planned(after, before, { capabilities }))).toEqual([
      "map /m: -/a",
      "unpublish backend api",
      "retire api/b",
      "retire api/c",
    ]);
  });
});

describe("whether the order of a map's entries counts", () => {
  const ordered = (...lines: readonly string[]) =>
    isOrdered(parseConfig(["frontend f", ...lines.map((line) => ` ${line}`), ""].join("\n")), "/m/a.map");

  test.each([
    ["use_backend %[path,map(/m/a.map)]", false],
    ["use_backend %[path,map_beg(/m/a.map,none)]", false],
    ["http-request set-var(txn.x) src,map_ip(/m/a.map)", false],
    ["http-request set-var(txn.x) path,map_str_int(/m/a.map)", false],
    ["http-request set-var(txn.x) path,map_reg(/m/a.map)", true],
    ["http-request set-var(txn.x) path,map_regm(/m/a.map)", true],
    ["http-request set-var(txn.x) path,map_end(/m/a.map)", true],
    ["http-request set-var(txn.x) dst_port,map_int(/m/a.map)", true],
    ["http-request set-map(/m/a.map) %[path] x", true],
    ["acl a path -f /m/a.map", true],
    ["use_backend %[path,map(/m/b.map)]", true],
  ])("%s", (line, counts) => {
    expect(ordered(line)).toBe(counts);
    expect(ordered("use_backend %[path,map(/m/a.map)]", line)).toBe(counts && !line.includes("b.map"));
  });
});

describe("work is that of the change", () => {
  test("sections that are the same objects are not looked into", () => {
    const texts = new Texts();
    const many = Array.from({ length: 50 }, (_, index) => `backend b${index}\n server s 10.0.0.1:80\n`).join("");
    const current = texts.desired(`${many}backend web\n`);
    const wanted = texts.desired(`${many}backend web\n server a 10.0.0.1:80\n`);
    const looked = new Set<string>();
    // The same guard object on both sides keeps the identity that the planner goes by.
    const guards = new Map<Section, Section>();
    const guarded = (config: Config): Config => ({
      ...config,
      sections: config.sections.map((section) => {
        const known = guards.get(section);
        if (known !== undefined) return known;
        const guard = new Proxy(section, {
          get(target, property, receiver) {
            if (property === "lines" || property === "inherited") looked.add(target.name ?? "");
            return Reflect.get(target, property, receiver);
          },
        });
        guards.set(section, guard);
        return guard;
      }),
    });
    const plan = planned(
      { ...current, config: guarded(current.config) },
      { ...wanted, config: guarded(wanted.config) },
    );
    expect(planText(plan)).toEqual(["add web/a 10.0.0.1:80 weight 1"]);
    expect([...looked]).toEqual(["web"]);
  });
});

test("the same differences have the same id, others another", () => {
  const plan = (weight: number) => {
    const texts = new Texts();
    return planned(
      texts.desired("backend web\n server a 10.0.0.1:80\n"),
      texts.desired(`backend web\n server a 10.0.0.1:80 weight ${weight}\n`),
    ).id;
  };
  expect(plan(2)).toMatch(/^[0-9a-f]{12}$/);
  expect(plan(2)).toBe(plan(2));
  expect(plan(2)).not.toBe(plan(3));
});

test("observedBackends has an entry for each backend that was asked for, and no other", () => {
  const servers = [observed("web", "a"), observed("other", "b"), observed("web", "c")];
  const map = observedBackends(servers, ["web", "empty"]);
  expect([...map].map(([backend, rows]) => [backend, rows.map(({ name }) => name)])).toEqual([
    ["web", ["a", "c"]],
    ["empty", []],
  ]);
});
