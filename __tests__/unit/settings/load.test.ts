import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { loadSettings, type SettingsSources } from "../../../src/settings/load.ts";
import type { SettingProblem } from "../../../src/settings/problem.ts";
import { settingsSchema } from "../../../src/settings/schema.ts";
import { SluiceError } from "../../../src/support/errors.ts";

let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "sluice-settings-"));
  file = path.join(directory, "sluice.yaml");
});
afterEach(() => rmSync(directory, { recursive: true }));

function load(yaml: string | undefined, sources: Partial<SettingsSources> = {}) {
  if (yaml !== undefined) writeFileSync(file, yaml);
  return loadSettings({ env: {}, flags: {}, workingDirectory: directory, ...sources });
}

function failure(yaml: string | undefined, sources: Partial<SettingsSources> = {}): SluiceError {
  try {
    load(yaml, sources);
  } catch (thrown) {
    if (thrown instanceof SluiceError) return thrown;
    throw thrown;
  }
  throw new Error("the settings were taken");
}

/** The problems as `where: key: message`, with the directory cut off. */
function problems(yaml: string | undefined, sources: Partial<SettingsSources> = {}): readonly string[] {
  const error = failure(yaml, sources);
  expect(error.code).toBe("ERR_SETTINGS_INVALID");
  const found = error.details["problems"] as readonly SettingProblem[];
  for (const { message } of found) expect(error.message).toContain(message);
  return found.map(({ where, key, message }) =>
    [where.replace(`${directory}/`, ""), key, message].filter((part) => part !== undefined).join(": "),
  );
}

describe("sources of settings", () => {
  test("without any, the defaults hold", () => {
    const { settings, origins, file: read } = load(undefined);
    expect(settings).toEqual(settingsSchema.parse({}));
    expect(new Set(origins.values())).toEqual(new Set(["default"]));
    expect(read).toBeUndefined();
  });

  test("each stands above those before it: default, file, Consul's variables, Sluice's variables, flags", () => {
    const yaml = "consul: { datacenter: file, address: http://file:1 }\nlog: { level: warn }\nhttp: { domain: file }\n";
    const env = {
      CONSUL_HTTP_ADDR: "http://consul:2",
      SLUICE_HTTP_DOMAIN: "variable",
      SLUICE_LOG_LEVEL: "error",
    };
    const { settings, origins, file: read } = load(yaml, { env, flags: { "log.level": "debug", resync: undefined } });
    expect(settings.consul).toMatchObject({ datacenter: "file", address: "http://consul:2" });
    expect(settings.http.domain).toBe("variable");
    expect(settings.log.level).toBe("debug");
    expect(Object.fromEntries(origins)).toMatchObject({
      "consul.datacenter": "file",
      "consul.address": "environment",
      "http.domain": "environment",
      "log.level": "flag",
      resync: "default",
    });
    expect(read).toBe(file);

    const above = load(undefined, { env: { ...env, SLUICE_CONSUL_ADDRESS: "http://sluice:3" } });
    expect(above.settings.consul.address).toBe("http://sluice:3");
  });

  test("the file is the named one, else that of SLUICE_SETTINGS, else sluice.yaml of the working directory", () => {
    writeFileSync(path.join(directory, "a.yaml"), "http: { domain: a }");
    writeFileSync(path.join(directory, "b.yaml"), "http: { domain: b }");
    writeFileSync(file, "http: { domain: c }");
    const env = { SLUICE_SETTINGS: "b.yaml" };
    expect(load(undefined, { file: "a.yaml", env }).settings.http.domain).toBe("a");
    expect(load(undefined, { env }).settings.http.domain).toBe("b");
    expect(load(undefined, { env: { SLUICE_SETTINGS: "" } }).settings.http.domain).toBe("c");
  });

  test("a named file that cannot be read is an error with its name and the reason", () => {
    const missing = failure(undefined, { file: "gone.yaml" });
    expect(missing.code).toBe("ERR_SETTINGS_UNREADABLE");
    expect(missing.message).toMatch(/gone\.yaml.*ENOENT/);
    mkdirSync(path.join(directory, "dir.yaml"));
    expect(failure(undefined, { file: "dir.yaml" }).message).toContain("EISDIR");
  });

  test("an empty file, an empty section and one of comments only are no mistakes", () => {
    expect(load("").settings).toEqual(settingsSchema.parse({}));
    expect(load("# nothing\n").settings).toEqual(settingsSchema.parse({}));
    expect(load("consul:\n  tls:\n  # ca: x\nhttp:\n").settings).toEqual(settingsSchema.parse({}));
  });
});

describe("variables", () => {
  test("an empty one counts as not set", () => {
    const { origins } = load(undefined, {
      env: { SLUICE_CONSUL_TOKEN: "", CONSUL_HTTP_TOKEN: "", CONSUL_HTTP_SSL: "" },
    });
    expect(origins.get("consul.token")).toBe("default");
  });

  test("an unknown one is a problem with the one most likely meant; four are none of ours", () => {
    const env = { SLUICE_HAPROXY_DRAIN_TIMOUT: "5s", SLUICE_BANANA_SPLIT_XYZ: "1", OTHER: "x" };
    expect(problems(undefined, { env })).toEqual([
      expect.stringMatching(/^SLUICE_BANANA_SPLIT_XYZ: unknown variable; the documentation/),
      "SLUICE_HAPROXY_DRAIN_TIMOUT: unknown variable; did you mean SLUICE_HAPROXY_DRAIN_TIMEOUT?",
    ]);
    const reserved = { SLUICE_HAPROXY: "/x", SLUICE_CONSUL: "/y", SLUICE_SETTINGS: "", SLUICE_STRUCTURE: "z" };
    expect(load(undefined, { env: reserved }).settings).toEqual(settingsSchema.parse({}));
  });

  test("those of sluice register are not ours, and not unknown", () => {
    const env = { SLUICE_REGISTER_DRAIN: "5s", SLUICE_REGISTER_ANYTHING: "1" };
    expect(load(undefined, { env }).settings).toEqual(settingsSchema.parse({}));
  });

  test("those of a Kubernetes Service named sluice are none of ours; what only looks like them is unknown", () => {
    const names = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR"];
    const injected = Object.fromEntries(names.map((name) => [`SLUICE_${name}`, "tcp://10.96.0.7:80"]));
    expect(load(undefined, { env: injected }).settings).toEqual(settingsSchema.parse({}));
    const alike = ["SLUICE_PORTAL", "SLUICE_SERVICE", "SLUICE_SERVICE_PORTS"];
    const found = problems(undefined, { env: Object.fromEntries(alike.map((name) => [name, "1"])) });
    expect(found.map((problem) => problem.split(":", 1)[0])).toEqual(alike);
  });

  test.each([
    [{ CONSUL_HTTP_ADDR: "consul:8500" }, "http://consul:8500"],
    [{ CONSUL_HTTP_ADDR: "consul:8500", CONSUL_HTTP_SSL: "true" }, "https://consul:8500"],
    [{ CONSUL_HTTP_ADDR: "http://consul:8500", CONSUL_HTTP_SSL: "1" }, "https://consul:8500"],
    [{ CONSUL_HTTP_ADDR: "https://consul:8501", CONSUL_HTTP_SSL: "false" }, "https://consul:8501"],
    [{ CONSUL_HTTP_ADDR: "unix:///run/consul.sock", CONSUL_HTTP_SSL: "true" }, "unix:///run/consul.sock"],
    [{ CONSUL_HTTP_SSL: "true" }, "https://file:8500"],
    [{ CONSUL_HTTP_SSL: "0" }, "http://file:8500"],
  ])("Consul's own %j give the address %s", (env, address) => {
    expect(load("consul: { address: http://file:8500 }", { env }).settings.consul.address).toBe(address);
  });

  test("Consul's own for TLS and token are taken", () => {
    const env = {
      CONSUL_HTTP_TOKEN: "t",
      CONSUL_CACERT: "/ca",
      CONSUL_CLIENT_CERT: "/cert",
      CONSUL_CLIENT_KEY: "/key",
      CONSUL_TLS_SERVER_NAME: "server.dc1.consul",
    };
    expect(load(undefined, { env }).settings.consul).toMatchObject({
      token: "t",
      tls: { ca: "/ca", cert: "/cert", key: "/key", serverName: "server.dc1.consul" },
    });
    expect(problems(undefined, { env: { CONSUL_HTTP_SSL: "perhaps" } })).toEqual([
      'CONSUL_HTTP_SSL: found "perhaps", expected true or false',
    ]);
    expect(problems(undefined, { env: { CONSUL_HTTP_ADDR: "no address" } })).toEqual([
      expect.stringMatching(/^CONSUL_HTTP_ADDR: consul\.address: "http:\/\/no address" is not an address of Consul/),
    ]);
  });

  test("of token and token file the one of the higher source remains, within a source the file", () => {
    const yaml = "consul: { tokenFile: /file }";
    const variable = load(yaml, { env: { SLUICE_CONSUL_TOKEN: "t" } });
    expect(variable.settings.consul).toMatchObject({ token: "t" });
    expect(variable.settings.consul.tokenFile).toBeUndefined();
    expect(variable.origins.get("consul.tokenFile")).toBe("default");
    const both = load(yaml, { env: { CONSUL_HTTP_TOKEN: "t", CONSUL_HTTP_TOKEN_FILE: "/t" } }).settings.consul;
    expect(both.tokenFile).toBe("/t");
    expect(both.token).toBeUndefined();
  });
});

describe("mistakes", () => {
  test("are told all at once, in the order of the file, with line, column and what to do", () => {
    const yaml = `consul:
  adress: x
  wait: 20m
haproxy:
  drainTimout: 5s
  onStop: kill
drainTimeout: 3s
banana: 1
http:
  bind: 80
log: debug
resync:
`;
    const sources = {
      env: { SLUICE_LOG_LEVEL: "verbose", SLUICE_CONSUL_CONNECTIONS: "1" },
      flags: { "haproxy.onStop": "explode" },
    };
    expect(problems(yaml, sources)).toEqual([
      "sluice.yaml:2:3: consul.adress: unknown key; did you mean consul.address?",
      'sluice.yaml:3:3: consul.wait: "20m" is out of range; it must be at most 10m',
      "sluice.yaml:5:3: haproxy.drainTimout: unknown key; did you mean haproxy.drainTimeout?",
      'sluice.yaml:6:3: haproxy.onStop: found "kill", expected one of leave, stop',
      "sluice.yaml:7:1: drainTimeout: unknown key; did you mean haproxy.drainTimeout?",
      expect.stringMatching(/^sluice\.yaml:8:1: banana: unknown key; known here: consul, haproxy, /),
      "sluice.yaml:10:3: http.bind: found 80, expected a text; put it in quotes",
      "sluice.yaml:11:1: log: found a text, expected a section with keys below it",
      expect.stringMatching(/^sluice\.yaml:12:1: resync: has no value; give it a length of time/),
      'SLUICE_CONSUL_CONNECTIONS: consul.connections: found "1", expected auto or a whole number of at least 2',
      'SLUICE_LOG_LEVEL: log.level: found "verbose", expected one of debug, info, warn, error',
      '--haproxy-on-stop: haproxy.onStop: found "explode", expected one of leave, stop',
    ]);
  });

  test("show even where a higher source hides them", () => {
    expect(problems("log: { level: loud }", { flags: { "log.level": "info" } })).toHaveLength(1);
  });

  test("a line of the file is found in flow style and for the last of lines", () => {
    expect(problems("http: {\n  domain: a,\n  bindd: b }")).toEqual([
      "sluice.yaml:3:3: http.bindd: unknown key; did you mean http.bind?",
    ]);
  });

  test.each([
    ["http: { bind: 'x", /not YAML: Missing closing/],
    ["http:\n\tbind: x", /sluice\.yaml:2:1: not YAML: Tabs/],
    ["http: {}\nhttp: {}", /sluice\.yaml:2:1: not YAML: Map keys must be unique/],
    ["a: 1\n---\nb: 2", /not YAML/],
    ["- http", /sluice\.yaml:1:1: not settings/],
    ["just text", /sluice\.yaml:1:1: not settings/],
    ["http: *x", /sluice\.yaml:1:7: an alias/],
    ["{{ value }}: 1", /sluice\.yaml:1:\d: a key must be a plain name/],
    ["http: [1]", /http: found a list, expected a section/],
    ["__proto__: { a: 1 }", /__proto__: unknown key/],
  ])("%j is told as what it is", (yaml, expected) => {
    expect(problems(yaml)[0]).toMatch(expected);
  });

  test("aliases that multiply end in an error, not in memory", () => {
    const levels = Array.from({ length: 9 }, (_, n) => `l${n}: &l${n} [${n === 0 ? "x" : `*l${n - 1},`.repeat(9)}]`);
    expect(problems(levels.join("\n"))[0]).toContain("Excessive alias count");
  });

  test("an aliased section is judged like any other", () => {
    expect(load("http: &x { bind: ':81' }\n").settings.http.bind).toBe(":81");
    expect(problems("http: &x { bind: ':81', nope: 1 }\nstats: *x\n")).toHaveLength(2);
  });

  test("a client certificate without its key is told at the place it was given", () => {
    expect(problems("consul: { tls: { cert: /c } }")).toEqual([
      "sluice.yaml:1:18: consul.tls.cert: consul.tls.key is missing; a client certificate needs both",
    ]);
    expect(problems("", { env: { CONSUL_CLIENT_KEY: "/k" } })).toHaveLength(1);
    expect(load("consul: { tls: { cert: /c } }", { env: { CONSUL_CLIENT_KEY: "/k" } }).settings.consul.tls).toEqual({
      cert: "/c",
      key: "/k",
    });
  });

  test.each([
    "consul: { token: [s3cret] }",
    "consul: { token: 's3cret\\u0000' }\nstats: { password: \"s3cret\\n\" }",
    "stats: { password: { s3cret: s3cret } }",
    "consul: s3cret",
    "token: *s3cret",
    "token: |s3cret",
    'token: "s3cret',
    "consul: s3cret: s3cret",
    "consul: { address: 'http://me:s3cret@consul' }",
    "consul: { token: s3cret\nlog:",
  ])("of %j no message gives the secret away", (yaml) => {
    const error = failure(yaml, { env: { SLUICE_STATS_PASSWORD: "s3cret\n" }, flags: { "consul.token": "s3cret\n" } });
    expect(error.message).not.toContain("s3cret");
    expect(JSON.stringify(error.details)).not.toContain("s3cret");
  });

  test("a flag for what is no setting is a defect", () => {
    expect(failure(undefined, { flags: { banana: "x" } }).code).toBe("ERR_INTERNAL");
  });
});

describe("documents: options of services, schemes of authentication", () => {
  test("are read by name; options flat or nested, named routes, names with dots", () => {
    const { settings, origins } = load(`
auth:
  staff: { file: /etc/staff, realm: Staff only }
services:
  options:
    "*": { timeout: { server: 5s }, retries: 2 }
    shop.v2:
      timeout.server: 1m
      host: [a.example.com, b.example.com]
      routes: { api: { path: /api, auth: staff } }
      route.static.path: /static
`);
    expect(settings.auth).toEqual({ staff: { file: "/etc/staff", realm: "Staff only" } });
    expect(settings.services.options).toEqual({
      "*": { options: { "timeout.server": 5_000, retries: 2 }, routes: {} },
      "shop.v2": {
        options: { "timeout.server": 60_000, host: ["a.example.com", "b.example.com"] },
        routes: { api: { path: ["/api"], auth: "staff" }, static: { path: ["/static"] } },
      },
    });
    expect(origins.get("services.options")).toBe("file");
    expect(load("services:\n  options:\nauth:\n").settings).toEqual(settingsSchema.parse({}));
  });

  test("what is wrong in them is named with its line and the nearest key", () => {
    const yaml = `services:
  options:
    shop.v2:
      blance: leastconn
      weight: many
      timeout:
        serve: 5s
      routes:
        api: { pth: /api }
        b: { check: http }
    other: 7
auth:
  staff: { fil: x }
`;
    expect(problems(yaml)).toEqual([
      "sluice.yaml:4:7: services.options.shop.v2.blance: is no option; did you mean balance?",
      'sluice.yaml:5:7: services.options.shop.v2.weight: "many" is not a whole number from 0 to 256',
      "sluice.yaml:7:9: services.options.shop.v2.timeout.serve: is no option; did you mean timeout.server?",
      "sluice.yaml:9:16: services.options.shop.v2.routes.api.pth: is no option; did you mean path?",
      "sluice.yaml:10:14: services.options.shop.v2.routes.b.check: belongs to no single route; write check without route.b",
      "sluice.yaml:11:5: services.options.other: found 7, expected a section with keys below it",
      "sluice.yaml:13:3: auth.staff.file: has no value, expected a text",
      "sluice.yaml:13:12: auth.staff.fil: unknown key; did you mean file?",
    ]);
  });
});
