import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { environmentOf, flagOf, settingAt, settingKeys, treeOf } from "../../../src/settings/keys.ts";
import { loadSettings } from "../../../src/settings/load.ts";
import { settingsSchema } from "../../../src/settings/schema.ts";

const nowhere = { workingDirectory: "/nonexistent" };

describe("names of settings", () => {
  test("follow from the key", () => {
    expect(environmentOf("haproxy.drainTimeout")).toBe("SLUICE_HAPROXY_DRAIN_TIMEOUT");
    expect(flagOf("haproxy.drainTimeout")).toBe("--haproxy-drain-timeout");
    expect(environmentOf("consul.tls.serverName")).toBe("SLUICE_CONSUL_TLS_SERVER_NAME");
    expect(flagOf("template")).toBe("--template");
  });

  test("are each of one setting only", () => {
    const keys = settingKeys();
    for (const name of ["path", "environment", "flag"] as const) {
      const names = keys.flatMap((key) => key[name] ?? []);
      expect(new Set(names).size).toBe(names.length);
      expect(keys.length - names.length).toBe(name === "path" ? 0 : 2);
    }
  });

  test("a document has neither variable nor flag, as only a file can hold it", () => {
    const documents = settingKeys().filter(({ kind }) => kind === "document");
    expect(documents.map(({ path }) => path)).toEqual(["auth", "services.options"]);
    for (const { environment, flag, default: value } of documents) {
      expect([environment, flag, value]).toEqual([undefined, undefined, undefined]);
    }
    expect(documents[0]?.entryKeys).toEqual(["file", "realm"]);
  });

  test("every setting has a meaning", () => {
    for (const key of settingKeys())
      expect([key.path, key.description]).toEqual([key.path, expect.stringMatching(/\.$/)]);
  });

  test("every leaf of the settings is a key", () => {
    const leaves = (value: unknown, path: string): string[] =>
      typeof value === "object" && value !== null
        ? Object.entries(value).flatMap(([name, child]) => leaves(child, path === "" ? name : `${path}.${name}`))
        : [path];
    expect(settingKeys().map((key) => key.path)).toEqual(expect.arrayContaining(leaves(settingsSchema.parse({}), "")));
  });

  test("secrets are known as such", () => {
    const secrets = settingKeys().filter((key) => key.sensitive);
    expect(secrets.map((key) => key.path)).toEqual(expect.arrayContaining(["consul.token", "stats.password"]));
  });

  test("say the same whether given as variable, as flag or in the file", () => {
    const keys = settingKeys().filter(
      // Some of `haproxy` is for one mode alone.
      ({ path, kind }) => !["consul.token", "consul.tokenFile", "haproxy.mode"].includes(path) && kind !== "document",
    );
    const given = fc
      .record({ tokens: fc.constantFrom("consul.token", "consul.tokenFile"), others: fc.subarray(keys) })
      .map(({ tokens, others }) => [...others, ...settingKeys().filter((key) => key.path === tokens)])
      // A client certificate needs its key.
      .filter((some) => {
        const paths = some.map((key) => key.path);
        return paths.includes("consul.tls.cert") === paths.includes("consul.tls.key");
      });
    fc.assert(
      fc.property(given, (some) => {
        const values = some.map((key) => ({ key, value: sampleOf(key) }));
        const env = Object.fromEntries(values.map(({ key, value }) => [key.environment, value]));
        const flags = Object.fromEntries(values.map(({ key, value }) => [key.path, value]));
        const byVariable = loadSettings({ env, flags: {}, ...nowhere });
        const byFlag = loadSettings({ env: {}, flags, ...nowhere });
        expect(byVariable.settings).toEqual(byFlag.settings);
        expect(byVariable.settings).toEqual(
          settingsSchema.parse(treeOf(values.map(({ key, value }) => [key.path, value]))),
        );
        for (const { key } of values) {
          expect(byVariable.origins.get(key.path)).toBe("environment");
          expect(byFlag.origins.get(key.path)).toBe("flag");
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe("the value at a key path", () => {
  test("is undefined where a section on the way is absent or no section", () => {
    expect(settingAt({ a: { b: 1 } }, "a.b")).toBe(1);
    expect(settingAt({ a: { b: 1 } }, "a.c.d")).toBeUndefined();
    expect(settingAt({ a: "text" }, "a.length")).toBeUndefined();
    expect(settingAt({}, "constructor")).toBeUndefined();
    expect(settingAt({ a: null }, "a.b")).toBeUndefined();
  });
});

/** A value the setting takes and that is not its default, where it takes any other. */
function sampleOf(key: ReturnType<typeof settingKeys>[number]): string {
  if (key.choices !== undefined) return key.choices.at(-1) as string;
  if (key.kind === "duration") return "7s";
  if (key.kind === "number" || key.path === "consul.connections") return "7";
  if (key.kind === "boolean") return "true";
  if (key.path === "consul.address") return "http://consul:8500";
  if (/[pP]orts$/.test(key.path)) return "7,70-77";
  if (/^http\.(trustedProxies|acceptProxy)$/.test(key.path)) return "10.0.0.0/7,fd00::7";
  return key.path === "stats.path" ? "/seven" : "seven";
}
