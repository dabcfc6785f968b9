import { describe, expect, test } from "@jest/globals";
import { registerOptions, variableOf } from "../../../../src/registration/register/options.ts";
import { readRegister, withConsulPort } from "../../../../src/registration/register/read-options.ts";
import { SluiceError } from "../../../../src/support/errors.ts";

const needed = { name: "web", port: "8080" };

function read(flags: object, env: Readonly<Record<string, string>> = {}, command: readonly string[] = ["app"]) {
  return readRegister({ flags: { ...flags }, env, host: "box", command });
}

function problems(flags: object, env: Readonly<Record<string, string>> = {}, command: readonly string[] = ["app"]) {
  try {
    read(flags, env, command);
  } catch (thrown) {
    if (thrown instanceof SluiceError && thrown.code === "ERR_USAGE") return thrown.details["problems"];
    throw thrown;
  }
  return [];
}

test("name and port are enough", () => {
  expect(read(needed)).toEqual({
    name: "web",
    port: 8080,
    id: "box-web-8080",
    listen: { port: 8080 },
    tags: [],
    meta: {},
    check: { kind: "ttl", path: "", intervalMs: 5_000, timeoutMs: 2_000, deregisterAfterMs: 90_000 },
    tries: 10,
    retryIntervalMs: 1_000,
    waitMs: 60_000,
    drainMs: 5_000,
    haproxy: [],
    graceMs: 10_000,
    once: false,
  });
});

test("--once: a check by the agent, and never forgotten, for nobody would register it again", () => {
  const { check, once } = read({ ...needed, once: true }, {}, []);
  expect(once).toBe(true);
  expect(check).toEqual({ kind: "tcp", path: "", intervalMs: 5_000, timeoutMs: 2_000 });
});

describe("the environment", () => {
  const people = {
    APP_NAME: "hello",
    APP_PORT: "7777",
    TAGS: "a, b,,a",
    HEALTH_CHECK_TYPE: "GRPC",
    HEALTH_CHECK_ENDPOINT: "protos.Ping",
  };

  test("has the names people know", () => {
    expect(read({}, people)).toMatchObject({
      name: "hello",
      port: 7777,
      tags: ["a", "b"],
      check: { kind: "grpc", path: "protos.Ping" },
    });
  });

  test("our own names go before them, and flags before both; an empty one says nothing", () => {
    const both = { ...people, SLUICE_REGISTER_NAME: "ours", SLUICE_REGISTER_PORT: "" };
    expect(read({}, both)).toMatchObject({ name: "ours", port: 7777 });
    expect(read({ name: "flag", tag: ["x,y"] }, both)).toMatchObject({ name: "flag", tags: ["x,y"] });
    expect(read({ tags: "c" }, both).tags).toEqual(["c"]);
  });

  test("has every option", () => {
    const env = Object.fromEntries(
      Object.entries({
        name: "web",
        port: "80",
        id: "w",
        address: "10.0.0.5",
        listen: "[::1]:81",
        tag: "t",
        tags: "u",
        meta: "a=1,b=x=y",
        check: "http",
        checkPath: "health",
        checkInterval: "1s",
        checkTimeout: "3s",
        deregisterAfter: "2m",
        retries: "3",
        retryInterval: "2s",
        wait: "4s",
        drain: "5m",
        haproxy: "http://a:9000/s,https://b/s",
        grace: "6s",
        stopSignal: "sigquit",
        once: "false",
      }).map(([name, value]) => [variableOf(registerOptions[name as keyof typeof registerOptions]), value]),
    );
    expect(Object.keys(env)).toHaveLength(Object.keys(registerOptions).length);
    expect(read({}, env)).toEqual({
      name: "web",
      port: 80,
      id: "w",
      address: "10.0.0.5",
      listen: { host: "::1", port: 81 },
      tags: ["t", "u"],
      meta: { a: "1", b: "x=y" },
      check: { kind: "http", path: "/health", intervalMs: 1_000, timeoutMs: 3_000, deregisterAfterMs: 120_000 },
      tries: 3,
      retryIntervalMs: 2_000,
      waitMs: 4_000,
      drainMs: 300_000,
      haproxy: ["http://a:9000/s", "https://b/s"],
      graceMs: 6_000,
      stopSignal: "SIGQUIT",
      once: false,
    });
  });

  test("CONSUL_PORT is the agent's, unless something more exact is said or a container runtime set it", () => {
    expect(withConsulPort({ CONSUL_PORT: "8501" })["CONSUL_HTTP_ADDR"]).toBe("127.0.0.1:8501");
    for (const env of [
      { CONSUL_PORT: "8501", CONSUL_HTTP_ADDR: "consul:8500" },
      { CONSUL_PORT: "8501", SLUICE_CONSUL_ADDRESS: "http://consul:8500" },
      { CONSUL_PORT: "tcp://10.0.0.1:8500" },
      {},
    ]) {
      expect(withConsulPort(env)).toBe(env);
    }
  });
});

describe("what is wrong is said, all at once, with the nearest", () => {
  test.each([
    [{ ...needed, check: "htpp" }, ['--check: "htpp" is unknown; did you mean http?']],
    [{ name: "web" }, ["the service's port is missing: --port, or APP_PORT"]],
    [{ ...needed, id: "." }, ['--id: "." is not an id: Consul could not be told to forget it']],
    [{ ...needed, id: ".." }, ['--id: ".." is not an id: Consul could not be told to forget it']],
    [
      { port: "0", drain: "5x" },
      [
        '--port: "0" is not a port; write a number from 1 to 65535',
        '--drain: "5x" is not a length of time; write 250ms, 30s, 5m or 24h',
        "the service's name is missing: --name, or APP_NAME",
      ],
    ],
    [{ ...needed, address: "web.local" }, ['--address: "web.local" is not an IP address that others can reach']],
    [{ ...needed, address: "0.0.0.0" }, ['--address: "0.0.0.0" is not an IP address that others can reach']],
    [
      { ...needed, deregisterAfter: "10s" },
      ['--deregister-after: "10s" is too short; Consul takes 1m at least (or 0: never)'],
    ],
    [{ ...needed, meta: ["a"] }, ['--meta: "a" is not a key and a value; write version=2']],
    [{ ...needed, retries: "0" }, ['--retries: "0" is not a number of tries; write 1 or more']],
    [{ ...needed, stopSignal: "SIGTREM" }, ['--stop-signal: "SIGTREM" is unknown; did you mean SIGTERM?']],
    [
      { ...needed, listen: "web:80" },
      ['--listen: "web:80" is not a place to connect to; write 5000 or 127.0.0.1:5000'],
    ],
    [{ ...needed, checkPath: "/health" }, ["--check-path is for --check http and grpc, not for ttl"]],
    [
      { ...needed, check: "http", checkPath: "http://x/health" },
      [
        '--check-path: "http://x/health" is not a path; write /health without a host (of a gRPC check: the name of a service)',
      ],
    ],
  ])("%j", (flags, said) => {
    expect(problems(flags)).toEqual(said);
  });

  test("a variable that is none", () => {
    expect(problems(needed, { SLUICE_REGISTER_DRAIM: "5s" })).toEqual([
      "SLUICE_REGISTER_DRAIM: unknown variable; did you mean SLUICE_REGISTER_DRAIN?",
    ]);
  });

  test("no command, or one that --once does not start; a TTL that nobody would keep", () => {
    expect(problems(needed, {}, [])).toEqual(["the command is missing: sluice register … -- COMMAND"]);
    expect(problems({ ...needed, once: true, check: "ttl" })).toEqual([
      "--once registers what runs elsewhere: leave out the command",
      "--once leaves nobody who could keep a TTL: --check tcp, http, grpc or none",
    ]);
  });

  test("a password is not shown", () => {
    const shown = String(problems({ ...needed, haproxy: "ftp://admin:secret@lb/x" }));
    expect(shown).toContain("***@lb");
    expect(shown).not.toContain("secret");
  });
});
