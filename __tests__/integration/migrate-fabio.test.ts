import { writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { type SluiceHome, sluiceCommand } from "../support/sluice.ts";
import { Scene } from "../support/system.ts";

jest.setTimeout(60_000);

const scene = new Scene();
let consul: ConsulAgent;
let home: SluiceHome;
let properties: string;

beforeAll(async () => {
  consul = await scene.consul();
  home = await scene.home(consul.address);
  const tags = ["urlprefix-/web strip=/web", "urlprefix-a.com/", "urlprefix-:3306 proto=tcp"];
  for (const id of ["web-1", "web-2"]) {
    await consul.register({ Name: "web", ID: id, Address: "127.0.0.1", Port: 80, Tags: tags });
  }
  properties = path.join(home.directory, "fabio.properties");
  await writeFile(properties, "proxy.addr = :9999,:3306;proto=tcp\nregistry.consul.tagprefix = urlprefix-\n");
});
afterAll(() => scene.end());

const migrate = (...args: readonly string[]) =>
  sluiceCommand(["migrate", "fabio", "--settings", home.settingsFile, ...args]);

describe("sluice migrate fabio", () => {
  test("exits with 0 where every tag is the same, and says which settings correspond", async () => {
    const { code, out, err } = await migrate("--properties", properties);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain("3 tags: 3 the same, 0 different, 0 refused\n");
    expect(out).toContain("  same      web (2 instances): urlprefix-/web strip=/web\n");
    expect(out).toContain("  proxy.addr = :9999,:3306;proto=tcp → http.bind: :9999\n");
    expect(out).toContain("for all tags:\n");
  });

  test("exits with 1 where one is not, and says why; --json for scripts", async () => {
    const bad = ["urlprefix-/bad weight=x", "urlprefix-/b allow=ip:10.0.0.0/8"];
    await consul.register({ Name: "api", ID: "api-1", Address: "127.0.0.1", Port: 80, Tags: bad });
    const { code, out } = await migrate();
    expect(code).toBe(1);
    expect(out).toContain("  refused   api (1 instance): urlprefix-/bad weight=x\n            it has the weight");
    const json = await migrate("--json");
    expect(json.code).toBe(1);
    const { tags } = JSON.parse(json.out) as { readonly tags: readonly { readonly verdict: string }[] };
    expect(tags.map(({ verdict }) => verdict)).toEqual(["different", "refused", "same", "same", "same"]);
  });

  test("a file that is not there is wrong use", async () => {
    const { code, err } = await migrate("--properties", "/nowhere/fabio.properties");
    expect([code, err]).toEqual([2, expect.stringContaining("ENOENT")]);
  });
});
