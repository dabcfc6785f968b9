import { describe, expect, test } from "@jest/globals";
import type { CatalogService, Instance } from "../../../../src/catalog/types.ts";
import { fabioClaims, fabioInstanceOptions, isFabioTag } from "../../../../src/routing/fabio/fabio-claims.ts";
import { instance, service, settings } from "../fixtures.ts";

function tagged(number: number, ...tags: readonly string[]): Instance {
  return instance("web", number, { tags, createIndex: 100 + number });
}

/** All instances serve but those that are named. */
function claimed(instances: readonly Instance[], away: readonly Instance[] = [], given: object = {}) {
  const servers = new Map(instances.filter((one) => !away.includes(one)).map((one) => [one, `s-${one.id}`]));
  return fabioClaims(service("web", instances), "web", servers, settings({ services: given }).services);
}

const short = ({ claims }: ReturnType<typeof fabioClaims>) =>
  claims.map(({ pattern, carriers, count, share }) => [
    `${pattern.host}${pattern.path}`,
    carriers,
    count,
    ...(share === undefined ? [] : [share]),
  ]);

describe("claims", () => {
  test("of a tag that all instances carry", () => {
    const found = claimed([tagged(2, "urlprefix-a.com:8080/x strip=/x"), tagged(1, "urlprefix-a.com:8080/x strip=/x")]);
    expect(found).toEqual({
      claims: [
        {
          pattern: { host: "a.com", hostPort: 8080, path: "/x", match: "prefix", methods: [], conditions: [] },
          options: { strip: "/x" },
          priority: 0,
          backend: "web",
          carriers: "all",
          count: 2,
          sticky: false,
          since: 101,
          origin: { service: "web", kind: "fabio", text: "urlprefix-a.com:8080/x strip=/x" },
        },
      ],
      listens: [],
      registers: [],
      problems: [],
    });
  });

  test("are for the instances that carry the tag", () => {
    const found = claimed([
      tagged(1, "urlprefix-/a", "urlprefix-/b"),
      tagged(2, "urlprefix-/b", "urlprefix-/c weight=0.2"),
    ]);
    expect(short(found)).toEqual([
      ["/a", ["s-web-1"], 1],
      ["/b", "all", 2],
      ["/c", ["s-web-2"], 1, { part: 0.2, of: "each" }],
    ]);
  });

  test("a tag nobody who serves carries makes no route while others serve, and stays while none serves", () => {
    const [old, fresh] = [tagged(1, "urlprefix-/old"), tagged(2, "urlprefix-/new")];
    expect(short(claimed([old, fresh], [old]))).toEqual([["/new", "all", 1]]);
    expect(short(claimed([old, fresh], [old, fresh]))).toEqual([
      ["/new", "all", 0],
      ["/old", "all", 0],
    ]);
  });

  test("stay as the last instances had them where there is none", () => {
    const remembered: CatalogService = service("web", [], {
      spoke: [tagged(1, "urlprefix-/a", "urlprefix-:99 proto=tcp")],
    });
    const found = fabioClaims(remembered, "web", new Map(), settings().services);
    expect([short(found), found.listens.map(({ port }) => port)]).toEqual([[["/a", "all", 0]], [99]]);
  });

  test("a redirect is one target, whoever asks for it", () => {
    const tag = "urlprefix-/old redirect=301,https://a.com$path weight=0.5";
    const found = claimed([tagged(1, tag), tagged(2, tag), tagged(3, "urlprefix-/x")]);
    expect(short(found)[0]).toEqual(["/old", "all", 1, { part: 0.5, of: "together" }]);
  });

  test("of one instance for one route, one counts, and the other is named", () => {
    const found = claimed([tagged(1, "urlprefix-/a", "urlprefix-/a strip=/a", "urlprefix-a.com", "urlprefix-A.com/")]);
    expect(found.claims.map(({ origin, options }) => [origin.text, options])).toEqual([
      ["urlprefix-/a strip=/a", { strip: "/a" }],
      ["urlprefix-a.com", {}],
    ]);
    expect(found.problems).toEqual([
      {
        service: "web",
        instance: "node-1/web-1",
        code: "option-unusable",
        reason: 'tag "urlprefix-/a" counts for nothing: "urlprefix-/a strip=/a" has its route; leave one out',
      },
    ]);
  });

  test("the prefix is a setting, $DC the service's datacenter", () => {
    const given = { fabioPrefix: "lb:" };
    expect(short(claimed([tagged(1, " lb:/a", "urlprefix-/b", "lb:$DC.a.com/")], [], given))).toEqual([
      ["/a", "all", 1],
      ["dc1.a.com/", "all", 1],
    ]);
    expect([isFabioTag(" lb:/a", { fabioPrefix: "lb:" }), isFabioTag("urlprefix-/b", { fabioPrefix: "lb:" })]).toEqual([
      true,
      false,
    ]);
  });
});

describe("a bad tag", () => {
  test("costs itself only and is named, once however many instances carry it", () => {
    const tags = ["urlprefix-/good", "urlprefix-/bad weight=x", "urlprefix-/odd foo=1"];
    const found = claimed([tagged(1, ...tags), tagged(2, ...tags, "urlprefix-[")]);
    expect(short(found)).toEqual([
      ["/good", "all", 2],
      ["/odd", "all", 2],
    ]);
    expect(found.problems.map(({ instance: of, reason }) => [of, reason])).toEqual([
      [
        undefined,
        'tag "urlprefix-/bad weight=x" has the weight "x", which is no number; write weight=0.25 (2 instances)',
      ],
      [undefined, 'tag "urlprefix-/odd foo=1": "foo" is none of Fabio\'s options and is ignored (2 instances)'],
      ["node-2/web-2", 'tag "urlprefix-[" has the host "[", which has a bracket that is not closed'],
    ]);
  });
});

describe("connections", () => {
  test("of a port, and of names on the ports of the setting", () => {
    const instances = [tagged(1, "urlprefix-:3306 proto=tcp allow=ip:10.0.0.0/8", "urlprefix-foo.com/ proto=tcp")];
    const found = claimed(instances, [], { fabioSniPorts: "8443-8444" });
    expect(found.claims).toEqual([]);
    expect(found.listens.map(({ port, mode, sni, allow }) => [port, mode, sni, allow])).toEqual([
      [3306, "tcp", "", ["10.0.0.0/8"]],
      [8443, "tcp", "foo.com", undefined],
      [8444, "tcp", "foo.com", undefined],
    ]);
  });

  test("of a name cannot be had where no port is set for them", () => {
    const found = claimed([tagged(1, "urlprefix-foo.com/ proto=tcp")]);
    expect([found.listens, found.problems[0]?.reason]).toEqual([
      [],
      'tag "urlprefix-foo.com/ proto=tcp" names no port, and the setting services.fabioSniPorts has none for such connections; set it',
    ]);
  });
});

test("names to register are those of the instances that serve", () => {
  const [one, other] = [
    tagged(1, "urlprefix-/a register=b"),
    tagged(2, "urlprefix-/a register=a", "urlprefix-/c register=b"),
  ];
  expect(claimed([one, other]).registers).toEqual(["a", "b"]);
  expect(claimed([one, other], [other]).registers).toEqual(["b"]);
  expect(claimed([one, other], [one, other]).registers).toEqual(["a", "b"]);
});

describe("an instance's server line", () => {
  const optionsOf = (...tags: readonly string[]) => {
    const one = tagged(1, ...tags);
    return [fabioInstanceOptions(one, "dc1", settings().services), claimed([one]).problems.map(({ reason }) => reason)];
  };

  test.each([
    [["urlprefix-/a"], {}],
    [["web"], {}],
    [["urlprefix-/a", "urlprefix-/b proto=https"], { protocol: "https" }],
    [
      ["urlprefix-/a proto=https tlsskipverify=true", "urlprefix-/b proto=https"],
      { protocol: "https", "tls.verify": "none" },
    ],
    [["urlprefix-/a proto=https host=a.com", "urlprefix-/b"], { protocol: "https", "tls.sni": "a.com" }],
    [
      ["urlprefix-/a proto=https host=a.com", "urlprefix-/b proto=https host=b.com"],
      { protocol: "https", "tls.sni": "host" },
    ],
    [["urlprefix-/a proto=grpcs grpcservername=x.y"], { protocol: "grpcs", "tls.sni": "x.y" }],
    [["urlprefix-:99 proto=tcp"], { protocol: "tcp" }],
    [["urlprefix-:99"], { protocol: "tcp" }],
    [["urlprefix-:99 proto=tcp", "urlprefix-:98 proto=tcp pxyproto=true"], { protocol: "tcp", "proxy-protocol": "v1" }],
    [["urlprefix-:99 proto=tcp", "urlprefix-/a"], {}],
  ])("%j", (tags, options) => {
    expect(optionsOf(...tags)).toEqual([options, []]);
  });

  test("a port speaks one protocol", () => {
    const [options, problems] = optionsOf("urlprefix-/a proto=https", "urlprefix-/b proto=grpc");
    expect(options).toEqual({ protocol: "https" });
    expect(problems).toEqual([
      'tag "urlprefix-/b proto=grpc": its protocol counts for nothing, "urlprefix-/a proto=https" says https; a port speaks one',
    ]);
    expect(optionsOf("urlprefix-/a", "urlprefix-:99 proto=tcp pxyproto=true")[1]).toHaveLength(1);
  });
});
