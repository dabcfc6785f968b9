import { describe, expect, test } from "@jest/globals";
import { ownWords } from "../../../src/routing/own-words.ts";
import { metaKeyOf, type OptionKey, optionTable } from "../../../src/settings/options/table.ts";

const words = (tags: readonly string[], meta: Readonly<Record<string, string>> = {}) => ownWords({ tags, meta });
const options = (tags: readonly string[], meta: Readonly<Record<string, string>> = {}) =>
  words(tags, meta).base.options;
const keys = Object.keys(optionTable) as OptionKey[];

describe("every option", () => {
  test.each(keys)("%s says the same as a tag and as meta", (key) => {
    const { example } = optionTable[key];
    const tag = words([`haproxy.${key}=${example}`]);
    const meta = words([], { [metaKeyOf(key)]: example });
    expect(tag.problems).toEqual([]);
    expect(meta.problems).toEqual([]);
    expect(Object.keys(tag.base.options)).not.toEqual([]);
    expect(meta.base.options).toEqual(tag.base.options);
    expect(tag.speaks && meta.speaks).toBe(true);
  });

  test("has a meta key of its own, none of which reads as a named route's or as a repetition", () => {
    const metaKeys = keys.map(metaKeyOf);
    expect(new Set(metaKeys).size).toBe(keys.length);
    for (const key of metaKeys) expect(key).not.toMatch(/^haproxy_route_|_\d+$/);
  });
});

describe("tags and meta", () => {
  test("a tag goes before meta, key by key", () => {
    const meta = { haproxy_host: "meta.example.com", haproxy_retries: "7" };
    expect(options(["haproxy.host=tag.example.com"], meta)).toEqual({ host: ["tag.example.com"], retries: 7 });
  });

  test("say where each option was said", () => {
    const { said } = words(["haproxy.host=a", "haproxy.host=b"], { haproxy_retries: "7" }).base;
    expect(said).toEqual({
      host: { kind: "tag", text: "haproxy.host=a haproxy.host=b" },
      retries: { kind: "meta", text: "haproxy_retries=7" },
    });
  });

  test("lists are made longer by repeating: with commas, and where commas are part of a value", () => {
    expect(options(["haproxy.host=a,b", "haproxy.host=c"]).host).toEqual(["a", "b", "c"]);
    expect(options(["haproxy.header=X-A: 1, 2", "haproxy.header=X-B"]).header).toEqual(["X-A: 1, 2", "X-B"]);
    const meta = { haproxy_header_10: "X-C", haproxy_header_2: "X-B", haproxy_header: "X-A" };
    expect(options([], meta).header).toEqual(["X-A", "X-B", "X-C"]);
  });

  test("what is said twice and is no list counts once, in a fixed order; the same twice is no contradiction", () => {
    for (const tags of [
      ["haproxy.retries=2", "haproxy.retries=1"],
      ["haproxy.retries=1", "haproxy.retries=2"],
    ]) {
      const { base, problems } = words(tags);
      expect(base.options).toEqual({ retries: 1 });
      expect(problems).toEqual([
        'tag "haproxy.retries=2" contradicts "haproxy.retries=1", which counts; leave one out',
      ]);
    }
    expect(words(["haproxy.retries=1", "haproxy.retries= 1"]).problems).toEqual([]);
  });

  test("haproxy.enable alone is true; another key without a value is told what to write", () => {
    expect(options(["haproxy.enable"])).toEqual({ enable: true });
    const { base, problems } = words(["haproxy.balance"]);
    expect(base.options).toEqual({});
    expect(problems).toEqual(['tag "haproxy.balance" has no value; write one such as haproxy.balance=leastconn']);
  });

  test("one who says nothing of ours does not speak, whatever else is said", () => {
    expect(words(["v1", "urlprefix-/x", "xhaproxy.host=a"], { my_haproxy_host: "a" }).speaks).toBe(false);
    expect(words(["haproxy.nonsense"]).speaks).toBe(true);
  });
});

describe("what cannot be read costs itself only", () => {
  test.each([
    ["an unknown key", "haproxy.blance=leastconn", "is no option; did you mean balance?"],
    ["a bad value", "haproxy.weight=many", "is not a whole number from 0 to 256"],
    ["a bad choice", "haproxy.mode=udp", "is not one of http, tcp"],
    ["a bad part of a list", "haproxy.host=a.example.com,b c", "is not a host name"],
    ["no key", "haproxy.=x", "is no option"],
    ["a key of every object", "haproxy.constructor=x", "is no option"],
    ["a route's name", "haproxy.route.My-API.path=/x", "a route's name that is not made of a-z and 0-9"],
    ["a route's unknown key", "haproxy.route.api.pth=/x", "is no option; did you mean path?"],
    ["what is no route's", "haproxy.route.api.check=http", "belongs to no single route; write check without route.api"],
  ])("%s", (_, tag, said) => {
    const { base, routes, problems } = words([tag, "haproxy.host=good.example.com"]);
    expect(base.options).toEqual({ host: ["good.example.com"] });
    expect([...routes.keys()]).toEqual([]);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(JSON.stringify(tag));
    expect(problems[0]).toContain(said);
  });

  test.each([
    ["haproxy_blance", "leastconn", "did you mean balance?"],
    ["haproxy_weight", "", "is not a whole number"],
    ["haproxy_route_api_pth", "/x", "is no option"],
    ["haproxy_", "x", "is no option"],
    ["haproxy_check_statuss", "200", "did you mean check.status?"],
  ])("meta %s", (key, value, said) => {
    const { base, problems } = words([], { [key]: value, haproxy_host: "good.example.com" });
    expect(base.options).toEqual({ host: ["good.example.com"] });
    expect(problems).toEqual([expect.stringContaining(said)]);
    expect(problems[0]).toContain(key);
  });
});

describe("named routes", () => {
  test("stand apart from the unnamed one, by tag and by meta", () => {
    const { base, routes } = words(["haproxy.auth=staff", "haproxy.route.api.path=/api,/v2"], {
      haproxy_route_api_host: "api.example.com",
      haproxy_route_api_host_2: "www.example.com",
      haproxy_route_api_path: "/meta",
      haproxy_route_v2_cors_max_age: "10m",
      haproxy_path: "/base",
    });
    expect(base.options).toEqual({ auth: "staff", path: ["/base"] });
    expect(Object.fromEntries([...routes].map(([name, wishes]) => [name, wishes.options]))).toEqual({
      api: { host: ["api.example.com", "www.example.com"], path: ["/api", "/v2"] },
      v2: { "cors.max-age": 600_000 },
    });
  });
});

describe("what an instance speaks, in its normal form", () => {
  test.each<[readonly string[], object]>([
    [["haproxy.protocol=https"], { tls: true, protocol: "http" }],
    [["haproxy.protocol=http"], { tls: false, protocol: "http" }],
    [["haproxy.protocol=h2"], { tls: true, protocol: "h2" }],
    [["haproxy.protocol=grpcs"], { tls: true, protocol: "h2" }],
    [["haproxy.protocol=h2c"], { tls: false, protocol: "h2" }],
    [["haproxy.protocol=grpc"], { tls: false, protocol: "h2" }],
    [["haproxy.protocol=grpc", "haproxy.tls=true"], { tls: true, protocol: "h2" }],
    [["haproxy.protocol=tcp"], { mode: "tcp" }],
    [["haproxy.protocol=tcp", "haproxy.mode=http"], { mode: "http" }],
  ])("%s", (tags, normal) => {
    expect(options(tags)).toEqual(normal);
  });
});

test("is remembered for as long as tags and meta are the same objects", () => {
  const [tags, meta] = [["haproxy.host=a"], {}];
  expect(ownWords({ tags, meta })).toBe(ownWords({ tags, meta }));
  expect(ownWords({ tags, meta: { haproxy_host: "b" } }).base.options.host).toEqual(["a"]);
  expect(ownWords({ tags, meta: { haproxy_retries: "1" } }).base.options.retries).toBe(1);
});
