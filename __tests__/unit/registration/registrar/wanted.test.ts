import { describe, expect, test } from "@jest/globals";
import type { Container } from "../../../../src/registration/docker/types.ts";
import type { OwnNetworks } from "../../../../src/registration/registrar/networks.ts";
import type { RegistrarOptions } from "../../../../src/registration/registrar/options.ts";
import type { Surroundings } from "../../../../src/registration/registrar/places.ts";
import { digestKey, wishOf } from "../../../../src/registration/registrar/wanted.ts";
import { container, idOf, plainOptions, port } from "../../../support/containers.ts";

/** Outside of any container. */
const nowhere: Surroundings = {};

function wish(more: Partial<Container>, options: Partial<RegistrarOptions> = {}, surroundings = nowhere) {
  return wishOf(container("c1", more), { ...plainOptions, ...options }, "h1", surroundings);
}

/** What is registered, without the marks. */
function services(more: Partial<Container>, options: Partial<RegistrarOptions> = {}, surroundings = nowhere) {
  return wish(more, options, surroundings).services.map(({ registration }) => {
    const { "sluice-registrar": _, "sluice-container": __, [digestKey]: ___, ...meta } = registration.meta;
    return { ...registration, meta };
  });
}

const named = (...words: readonly string[]) => ({ environment: words });

describe("a container's names", () => {
  test("come from its image, and the id from the host, the container and the port inside", () => {
    expect(wish({}).services).toEqual([
      {
        container: "c1",
        registration: {
          id: "h1:c1:80",
          name: "shop",
          port: 32_768,
          tags: [],
          meta: {
            "sluice-registrar": "h1",
            "sluice-container": idOf("c1").slice(0, 12),
            [digestKey]: expect.stringMatching(/^[0-9a-f]{12}$/),
          },
        },
      },
    ]);
  });

  test.each([
    ["redis", "redis"],
    ["redis:7", "redis"],
    ["team/redis@sha256:0123", "redis"],
    ["h:5000/a/b/redis:1@sha256:0123", "redis"],
  ])("image %s is %s", (image, name) => {
    expect(services({ image })[0]?.name).toBe(name);
  });

  test("an image without a name is no name", () => {
    expect(wish({ image: `sha256:${"0".repeat(64)}` })).toEqual({
      services: [],
      problems: ["its image tells no name: set SERVICE_NAME"],
    });
  });

  test("of several ports have the port behind them, but where the port is named", () => {
    const ports = [port(80, 8080), port(443, 8443)];
    expect(services({ ports }).map(({ name }) => name)).toEqual(["shop-80", "shop-443"]);
    const words = named("SERVICE_NAME=web", "SERVICE_443_NAME=secure", "SERVICE_ID=i", "SERVICE_443_ID=s");
    expect(services({ ports, ...words }).map(({ name, id }) => [name, id])).toEqual([
      ["web-80", "i-80"],
      ["secure", "s"],
    ]);
  });

  test("of one port published on several are one", () => {
    expect(services({ ports: [port(80, 8081, 8080)] }).map((one) => [one.name, one.port])).toEqual([["shop", 8080]]);
  });

  test("udp is said by id and tag", () => {
    const udp = { ...port(53, 5353), protocol: "udp" as const };
    expect(services({ ports: [udp] })).toMatchObject([{ id: "h1:c1:53:udp", tags: ["udp"] }]);
    expect(services({ ports: [port(53, 5353), udp], ...named("SERVICE_53_ID=dns") }).map(({ id }) => id)).toEqual([
      "dns",
      "dns:udp",
    ]);
  });

  test.each(["a/b", "..", "a\nb", "a\u0000", "x".repeat(300)])("%j is no name", (name) => {
    expect(wish({ labels: new Map([["SERVICE_NAME", name]]) })).toEqual({
      services: [],
      problems: [expect.stringContaining("SERVICE_NAME cannot be")],
    });
  });

  // In the path of a URL they are no ids, but directories.
  test.each([".", "..", "a\nb", "x".repeat(300)])("%j is no id", (id) => {
    expect(wish({ labels: new Map([["SERVICE_ID", id]]) })).toEqual({
      services: [],
      problems: [expect.stringContaining("SERVICE_ID cannot be")],
    });
  });

  test.each(["...", "a/..", ".a"])("%j is an id", (id) => {
    expect(services(named(`SERVICE_ID=${id}`))).toMatchObject([{ id }]);
  });
});

describe("what is registered at all", () => {
  test("only published ports, or with internal those that are exposed", () => {
    const ports = [port(80, 8080), port(9000)];
    expect(services({ ports }).map((one) => one.port)).toEqual([8080]);
    expect(services({ ports }, { internal: true }).map((one) => [one.address, one.port])).toEqual([
      ["172.17.0.2", 80],
      ["172.17.0.2", 9000],
    ]);
  });

  test.each(["1", "true", "yes", "whatever"])("not with SERVICE_IGNORE=%s", (value) => {
    expect(wish(named(`SERVICE_IGNORE=${value}`))).toEqual({ services: [], problems: [] });
  });

  test.each(["", "false", "0", "no"])("also with SERVICE_IGNORE=%s", (value) => {
    expect(services(named(`SERVICE_IGNORE=${value}`))).toHaveLength(1);
  });

  test("not the port that is to be ignored, and the other keeps its name", () => {
    const ports = [port(80, 8080), port(443, 8443)];
    expect(services({ ports, ...named("SERVICE_443_IGNORE=true") }).map(({ name }) => name)).toEqual(["shop-80"]);
  });

  test("with explicit only what says its name", () => {
    const ports = [port(80, 8080), port(443, 8443)];
    expect(services({ ports }, { explicit: true })).toEqual([]);
    expect(services({ ports, ...named("SERVICE_80_NAME=a") }, { explicit: true }).map(({ id }) => id)).toEqual([
      "h1:c1:80",
    ]);
    expect(services(named("SERVICE_NAME=a"), { explicit: true })).toHaveLength(1);
  });

  test("not what has stopped; what is paused is", () => {
    expect(services({ state: "stopped" })).toEqual([]);
    expect(services({ state: "paused" })).toHaveLength(1);
  });
});

describe("what a container says", () => {
  test("labels go before the environment, and the port before all", () => {
    const said = {
      environment: ["SERVICE_80_NAME=env80", "SERVICE_NAME=env", "SERVICE_REGION=eu", "SERVICE_ZONE=a"],
      labels: new Map([
        ["SERVICE_NAME", "label"],
        ["SERVICE_REGION", "us"],
        ["SERVICE_81_ZONE", "other"],
      ]),
    };
    expect(services(said)).toMatchObject([{ name: "env80", meta: { region: "us", zone: "a" } }]);
  });

  test("tags are separated by commas, and those of all are added", () => {
    const said = named("SERVICE_TAGS=a, haproxy.path=/x\\,y,,urlprefix-/q strip=/q,b");
    expect(services(said, { tags: ["b", "z"] })[0]?.tags).toEqual([
      "a",
      "haproxy.path=/x,y",
      "urlprefix-/q strip=/q",
      "b",
      "z",
    ]);
  });

  test("everything else is meta, what cannot be is left out and said", () => {
    const labels = new Map([
      ["SERVICE_HAPROXY_HOST", "shop.example"],
      ["SERVICE_A.B", "x"],
      ["SERVICE___proto__", "x"],
      ["SERVICE_BIG", "ä".repeat(257)],
      ["SERVICE_SLUICE-REGISTRAR", "somebody"],
    ]);
    const { services: all, problems } = wish({ labels });
    expect(all[0]?.registration.meta).toMatchObject({ haproxy_host: "shop.example", "sluice-registrar": "h1" });
    expect(Object.keys(all[0]?.registration.meta ?? {})).toHaveLength(4);
    expect(problems).toHaveLength(3);
    const many = Array.from({ length: 70 }, (_, index) => `SERVICE_K${index}=v`);
    expect(Object.keys(wish(named(...many)).services[0]?.registration.meta ?? {})).toHaveLength(63);
  });
});

describe("where it is reached", () => {
  test("at the address it is published on, at the one that is given, or at the agent's", () => {
    const ports = [{ ...port(80), bindings: [{ address: "10.0.0.5", port: 8080 }] }];
    expect(services({ ports })[0]).toMatchObject({ address: "10.0.0.5", port: 8080 });
    expect(services({ ports }, { address: "192.0.2.1" })[0]).toMatchObject({ address: "192.0.2.1", port: 8080 });
    expect(services({})[0]).not.toHaveProperty("address");
    const both = [
      { address: "::", port: 32_768 },
      { address: "0.0.0.0", port: 32_769 },
    ];
    expect(services({ ports: [{ ...port(80), bindings: both }] })[0]).toMatchObject({ port: 32_769 });
  });

  test("on the network that is asked for, on one that is ours too, or on the first", () => {
    const networks = new Map([
      ["b_net", "10.2.0.2"],
      ["a_net", "10.1.0.2"],
      ["shop_front", "10.3.0.2"],
    ]);
    const at = (options: Partial<RegistrarOptions>, own?: OwnNetworks) =>
      services({ networks }, { internal: true, ...options }, { ...(own && { own }) })[0]?.address;
    expect(at({})).toBe("10.1.0.2");
    expect(at({}, { names: ["x", "b_net"], ofAll: [] })).toBe("10.2.0.2");
    expect(at({ network: "shop_front" }, { names: ["b_net"], ofAll: [...networks.keys()] })).toBe("10.3.0.2");
    expect(at({ network: "front" })).toBe("10.3.0.2");
    expect(wish({ networks }, { internal: true, network: "none" })).toEqual({
      services: [],
      problems: ["it is not on the network none"],
    });
  });

  test("not at an address that the registrar's own container does not share", () => {
    const own = { names: ["z"], ofAll: ["a", "z"] };
    expect(wish({ networks: new Map([["a", "10.1.0.2"]]) }, { internal: true }, { own })).toEqual({
      services: [],
      problems: ["it shares no network with the registrar's own container; --network names the one that counts"],
    });
    expect(wish({ networks: new Map() }, { internal: true }, { own }).problems).toEqual([
      "it has no address on a network",
    ]);
  });

  describe("on the network that a name means to a registrar in a container", () => {
    const ofAll = ["a_front", "b_front", "front", "net_x", "shop_front"];
    const on = (network: string) => ({ networks: new Map([[network, "10.0.0.1"]]) });
    const of = (network: string, asked: string, more: Partial<OwnNetworks> = {}) => {
      const own = { names: [], ofAll, ...more };
      const { services: all, problems } = wish(on(network), { internal: true, network: asked }, { own });
      return all[0]?.registration.address ?? problems.join();
    };
    const several = ["a_front", "b_front", "shop_front"];

    test("the one that is called so", () => {
      expect(of("front", "front", { project: "shop" })).toBe("10.0.0.1");
      expect(of("shop_front", "front", { project: "shop" })).toBe("it is not on the network front");
    });

    test("else that of its own compose project", () => {
      expect(of("shop_front", "front", { project: "shop", ofAll: several })).toBe("10.0.0.1");
      expect(of("a_front", "front", { project: "shop", ofAll: several })).toBe("it is not on the network front");
    });

    test("else the only one that ends so", () => {
      expect(of("net_x", "x", { project: "shop" })).toBe("10.0.0.1");
      expect(of("a_front", "x")).toBe("it is not on the network x");
    });

    test("and none where several do", () => {
      for (const project of [{}, { project: "other" }]) {
        expect(of("a_front", "front", { ...project, ofAll: several })).toBe(
          "--network front may be a_front, b_front or shop_front; write the whole name",
        );
        expect(of("net_x", "front", { ...project, ofAll: several })).toBe("it is not on the network front");
      }
    });
  });

  test("on the host's network at its exposed ports", () => {
    const host = { networkMode: "host", networks: new Map(), ports: [port(8080)] };
    for (const internal of [false, true]) {
      expect(services(host, { internal })).toMatchObject([{ id: "h1:c1:8080", port: 8080 }]);
    }
  });

  test("in another container's network at that one's address", () => {
    const other = container("other", { networks: new Map([["n", "10.9.0.9"]]) });
    const shared = { networkMode: `container:${other.id}`, networks: new Map(), ports: [port(80)] };
    const containerOf = (id: string) => (id === other.id ? other : undefined);
    expect(services(shared, { internal: true }, { containerOf })[0]?.address).toBe("10.9.0.9");
    expect(wish(shared, { internal: true }).problems).toEqual(["it has no address on a network"]);
  });

  test("where its label says", () => {
    const labels = new Map([["ip", "10.7.7.7"]]);
    expect(services({ labels }, { addressLabel: "ip" })[0]).toMatchObject({ address: "10.7.7.7", port: 32_768 });
    expect(services({ labels }, { addressLabel: "ip", internal: true })[0]).toMatchObject({
      address: "10.7.7.7",
      port: 80,
    });
    const wrong = wish({ labels: new Map([["ip", "junk"]]) }, { addressLabel: "ip" });
    expect(wrong).toEqual({ services: [], problems: ["its label ip is not an IP address"] });
  });
});

describe("its check", () => {
  const check = (more: Partial<Container>, options: Partial<RegistrarOptions> = {}) => wish(more, options).services[0];

  test("none, where nothing says so", () => {
    expect(check({})?.registration).not.toHaveProperty("check");
  });

  test.each([
    ["healthy", "passing"],
    ["starting", "critical"],
    ["unhealthy", "critical"],
  ] as const)("HEALTHCHECK: %s is %s", (health, status) => {
    const one = check({ health });
    expect(one?.ttl).toEqual({ status, output: `Docker says ${health}` });
    expect(one?.registration.check).toMatchObject({ kind: "ttl", name: "HEALTHCHECK", status, ttlMs: 86_400_000 });
    expect(check({ health }, { healthcheck: false })?.ttl).toBeUndefined();
  });

  test("while it starts, HEALTHCHECK is what SERVICE_CHECK_INITIAL_STATUS says", () => {
    const words = named("SERVICE_CHECK_INITIAL_STATUS=passing");
    expect(check({ health: "starting", ...words })?.ttl?.status).toBe("passing");
    expect(check({ health: "unhealthy", ...words })?.ttl?.status).toBe("critical");
  });

  test("a change of health is no reason to register again, a change of the check is", () => {
    const digest = (more: Partial<Container>, options: Partial<RegistrarOptions> = {}) =>
      check(more, options)?.registration.meta[digestKey];
    expect(digest({ health: "healthy" })).toBe(digest({ health: "unhealthy" }));
    expect(digest({ health: "healthy" })).not.toBe(digest({ health: "healthy" }, { ttlMs: 60_000 }));
    expect(digest({})).not.toBe(digest(named("SERVICE_CHECK_TCP=true")));
  });

  test("with ttl, that it runs", () => {
    const one = check({}, { ttlMs: 60_000, deregisterAfterMs: 90_000 });
    expect(one?.ttl).toEqual({ status: "passing", output: "the container runs" });
    expect(one?.registration.check).toMatchObject({ ttlMs: 60_000, status: "passing", deregisterAfterMs: 90_000 });
  });

  test("what the container asks for goes before its HEALTHCHECK", () => {
    const one = check({ health: "healthy", ...named("SERVICE_CHECK_HTTP=/health") }, { ttlMs: 60_000 });
    expect(one?.ttl).toBeUndefined();
    expect(one?.registration.check).toMatchObject({ kind: "http", url: "http://127.0.0.1:32768/health" });
  });
});
