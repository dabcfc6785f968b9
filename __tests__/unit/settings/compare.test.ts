import { describe, expect, test } from "@jest/globals";
import { changedKeys, isLive, restartKeys } from "../../../src/settings/compare.ts";
import { settingKeys } from "../../../src/settings/keys.ts";
import { settingsSchema } from "../../../src/settings/schema.ts";

const defaults = settingsSchema.parse({});

describe("changes of settings", () => {
  test("none between equal ones", () => {
    expect(changedKeys(defaults, settingsSchema.parse({ haproxy: { drainTimeout: "30s" } }))).toEqual([]);
  });

  test("are named by key, in the order of the schema, what comes and what goes alike", () => {
    const before = settingsSchema.parse({ template: "a.njk", consul: { tls: { ca: "/ca" } } });
    const after = settingsSchema.parse({ log: { level: "debug" }, haproxy: { drainTimeout: "5s" } });
    const changed = ["consul.tls.ca", "haproxy.drainTimeout", "template", "log.level"];
    expect(changedKeys(before, after)).toEqual(changed);
    expect(changedKeys(after, before)).toEqual(changed);
  });

  test("some take a restart", () => {
    expect(restartKeys(["consul.tls.ca", "haproxy.drainTimeout", "template", "haproxy.binary"])).toEqual([
      "consul.tls.ca",
      "haproxy.binary",
    ]);
  });

  test("what Consul and the process are reached by takes a restart, what is rendered does not", () => {
    const restart = settingKeys().filter((key) => !isLive(key.path));
    expect(restart.map((key) => key.path)).toEqual(
      expect.arrayContaining(["consul.address", "consul.token", "haproxy.directory", "haproxy.mode", "haproxy.reload"]),
    );
    for (const { path } of restart) expect(path).toMatch(/^(consul|haproxy|reload|https|tls)\.|^auth$/);
    for (const path of [
      "http.bind",
      "stats.password",
      "services.balance",
      "services.options",
      "tcp.ports",
      "accessLog.format",
      "guard.holdFor",
      "haproxy.onStop",
      "resync",
    ]) {
      expect([path, isLive(path)]).toEqual([path, true]);
    }
  });
});
