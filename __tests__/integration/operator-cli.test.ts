import { cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { lastOfFrontend } from "../support/own-template.ts";
import {
  type CommandResult,
  eventually,
  liveConfig,
  type SluiceHome,
  sluiceCommand,
  workerPid,
} from "../support/sluice.ts";
import { answers, Scene, serversInFile, statusNow } from "../support/system.ts";
import type { WebInstance } from "../support/web-instance.ts";

jest.setTimeout(60_000);

interface StoredSnapshot {
  readonly services: readonly {
    readonly instances: readonly { readonly id: string; weights: { passing: number } }[];
  }[];
}

const scene = new Scene();
let consul: ConsulAgent;
let home: SluiceHome;
let web: WebInstance;
let snapshot: string;
/** A copy of the shipped template with a header more. */
let otherTemplate: string;
let brokenTemplate: string;

beforeAll(async () => {
  consul = await scene.consul();
  home = await scene.home(consul.address);
  web = await scene.join(consul, "web", "web-1");
  await scene.join(consul, "api", "api-1", { Address: "api.example.org" });
  const sluice = scene.run(home);
  await sluice.logged((line) => line.event === "reloaded");
  await answers(home, "web.service.local");
  snapshot = path.join(home.state, "snapshot.json");
  await eventually("the snapshot is written", async () => (await readFile(snapshot, "utf8")).includes("api-1"));
  // The first pass behind the start puts the maps into the file's place too.
  await eventually("the file is up to date", async () => (await statusNow(home)).reconciler.fileLagMs === undefined);
  otherTemplate = await template("other", "http-response set-header X-Edited yes");
  brokenTemplate = await template("broken", "frobnicate on");
});
afterAll(() => scene.end());

describe("render", () => {
  test("prints what runs, from live Consul and from a snapshot file alike, and names what was left out", async () => {
    const live = await sluice("render");
    expect(live.code).toBe(0);
    expect(live.out).toContain(`\n  server web-1_127.0.0.1:${web.port} 127.0.0.1:${web.port} weight 1\n`);
    expect(withoutStructure(await liveConfig(home))).toBe(live.out);
    expect(live.err).toMatch(/^left out: "api" \(".*\/api-1"\): address "api\.example\.org" is not an IP address/);

    const stored = await sluice("render", "--snapshot", snapshot);
    expect(stored).toEqual(live);
  });

  test("--json gives text, maps and what was left out", async () => {
    const { code, out, err } = await sluice("render", "--json");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const rendered = JSON.parse(out) as { text: string; maps: Record<string, string>; excluded: unknown[] };
    expect(rendered.text).toBe((await sluice("render")).out);
    const routes = Object.entries(rendered.maps).find(([file]) => path.basename(file) === "routes.map");
    expect(routes?.[1]).toBe("api.service.local/ api\nweb.service.local/ web\n");
    expect(rendered.excluded).toMatchObject([{ service: "api", code: "address-unusable" }]);
  });

  test("does not need an operator, nor a state directory, and makes none", async () => {
    const directory = path.join(home.directory, "nowhere");
    const { code } = await sluice("render", "--haproxy-directory", directory, "--snapshot", snapshot);
    expect(code).toBe(0);
    expect(await readdir(home.directory)).not.toContain("nowhere");
  });
});

describe("validate", () => {
  test("says what is valid for which HAProxy, and leaves nothing behind", async () => {
    const temporary = path.join(home.directory, "tmp");
    await mkdir(temporary);
    const args = ["validate", "--settings", home.settingsFile];
    const { code, out } = await sluiceCommand(args, { TMPDIR: temporary });
    expect(code).toBe(0);
    expect(out).toMatch(/^valid for HAProxy \d+\.\d+\.\d+\S*: 2 backends, 2 routes, 1 left out\n$/);
    // What tsx, which runs it from the sources, keeps there is not ours.
    expect((await readdir(temporary)).filter((name) => !name.startsWith("tsx"))).toEqual([]);
  });

  test("refuses what HAProxy refuses, naming line and section; --json and a snapshot change nothing about it", async () => {
    const { code, out, err } = await sluice("validate", "--template", brokenTemplate);
    expect(code).toBe(1);
    expect(out).toMatch(/^not valid for HAProxy /);
    expect(err).toMatch(/^line \d+ \(frontend sluice_http\): .*frobnicate/m);

    const json = await sluice("validate", "--template", brokenTemplate, "--snapshot", snapshot, "--json");
    expect(json.code).toBe(1);
    const verdict = JSON.parse(json.out) as { valid: boolean; problems: readonly string[] };
    expect(verdict.valid).toBe(false);
    expect(verdict.problems.join("\n")).toContain("frobnicate");
  });
});

describe("plan", () => {
  test("behind an operator that has settled, nothing would change", async () => {
    expect(await sluice("plan", "--fail-on", "change")).toEqual({ code: 0, out: "nothing would change\n", err: "" });
    expect(await sluice("plan", "--fail-on", "reload", "--snapshot", snapshot)).toMatchObject({ code: 0 });
  });

  test("says what another template would do, exits with 3 where that was asked for, and changes nothing", async () => {
    const worker = await workerPid(home);
    const config = await liveConfig(home);
    const { code, out } = await sluice("plan", "--template", otherTemplate);
    expect(code).toBe(0);
    expect(out).toContain("frontend sluice_http:");
    expect(out).toContain("X-Edited");
    expect(out).toContain("0 operations at run time and one reload (1 reasons)");
    expect((await sluice("plan", "--template", otherTemplate, "--fail-on", "reload")).code).toBe(3);
    expect((await sluice("plan", "--template", otherTemplate, "--fail-on", "change")).code).toBe(3);
    expect(await workerPid(home)).toBe(worker);
    expect(await liveConfig(home)).toBe(config);
  });

  test("tells endpoint changes from structural ones", async () => {
    const file = path.join(home.directory, "later.json");
    const later = JSON.parse(await readFile(snapshot, "utf8")) as StoredSnapshot;
    const stored = later.services.flatMap(({ instances }) => instances).find(({ id }) => id === "web-1");
    if (stored === undefined) throw new Error("web-1 is not in the snapshot");
    stored.weights.passing = 7;
    await writeFile(file, JSON.stringify(later));
    const { code, out } = await sluice("plan", "--snapshot", file, "--fail-on", "reload", "--json");
    expect(code).toBe(0);
    const plan = JSON.parse(out) as { operations: unknown[]; reload?: unknown };
    expect(plan.reload).toBeUndefined();
    expect(plan.operations).toMatchObject([{ kind: "set-weight", backend: "web", weight: 7 }]);
    expect((await sluice("plan", "--snapshot", file, "--fail-on", "change")).code).toBe(3);
  });
});

describe("status", () => {
  test("shows what is served and what was left out", async () => {
    const { code, out, err } = await sluice("status");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/^ready\n/);
    expect(out).toContain(`runs, worker ${await workerPid(home)}`);
    expect(out).toContain(`web-1_127.0.0.1:${web.port}`);
    expect(out).toContain('left out: "api"');
  });

  test("--json gives all of it", async () => {
    const { code, out } = await sluice("status", "--json");
    expect(code).toBe(0);
    const status = JSON.parse(out) as { ready: boolean; reconciler: { services: { name: string }[] } };
    expect(status.ready).toBe(true);
    expect(status.reconciler.services.map(({ name }) => name)).toEqual(["api", "web"]);
    expect(await serversInFile(home)).toHaveLength(1);
  });
});

describe("what goes wrong is said with the way out", () => {
  test("no operator on the socket", async () => {
    const directory = path.join(home.directory, "nobody");
    const { code, out, err } = await sluice("status", "--haproxy-directory", directory);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain(`no operator answers at ${path.join(directory, "sockets", "admin.sock")}`);
    expect(err).toContain("sluice run");
    expect(err).toContain("ERR_ADMIN_UNREACHABLE");
  });

  test("an unknown setting in the file, in the environment, as a flag", async () => {
    const file = path.join(home.directory, "typo.yaml");
    await writeFile(file, "http:\n  domian: example.org\n");
    const typo = await sluiceCommand(["render", "--settings", file]);
    expect(typo.code).toBe(1);
    expect(typo.err).toContain(`${file}:2:3: http.domian: unknown key; did you mean http.domain?`);

    const variable = await sluiceCommand(["render", "--settings", home.settingsFile], { SLUICE_HTTP_DOMIAN: "x" });
    expect(variable.code).toBe(1);
    expect(variable.err).toContain("did you mean SLUICE_HTTP_DOMAIN?");

    const flag = await sluice("render", "--http-domian", "example.org");
    expect(flag.code).toBe(2);
    expect(flag.err).toContain("unknown option '--http-domian'");
  });

  test("a broken snapshot: not there, not JSON, of another shape", async () => {
    const cut = path.join(home.directory, "cut.json");
    await writeFile(cut, (await readFile(snapshot, "utf8")).slice(0, 100));
    const shape = path.join(home.directory, "shape.json");
    await writeFile(shape, '{"schema":1,"services":"none"}');
    for (const [file, reason] of [
      [path.join(home.directory, "missing.json"), "ENOENT"],
      [cut, "JSON"],
      [shape, "services"],
    ] as const) {
      const { code, out, err } = await sluice("render", "--snapshot", file);
      expect({ file, code, out }).toEqual({ file, code: 1, out: "" });
      expect(err).toContain(file);
      expect(err).toContain(reason);
      expect(err).toContain("ERR_SNAPSHOT_INVALID");
    }
  });

  test("Consul does not answer", async () => {
    const { code, out, err } = await sluice("plan", "--consul-address", "http://127.0.0.1:1");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain("ECONNREFUSED");
    expect(err).toContain("ERR_CONSUL_UNREACHABLE");
  });

  test("--json gives errors as JSON too", async () => {
    const { code, out, err } = await sluice("render", "--json", "--snapshot", "/nonexistent/snapshot.json");
    expect({ code, err }).toEqual({ code: 1, err: "" });
    expect(JSON.parse(out)).toMatchObject({ error: { code: "ERR_SNAPSHOT_INVALID" } });
  });

  test("wrong use exits with 2 and points at --help", async () => {
    for (const args of [["nonsense"], ["plan", "--fail-on", "tuesday"], ["render", "--snapshot"]]) {
      const { code, err } = await sluiceCommand(args);
      expect({ args, code }).toEqual({ args, code: 2 });
      expect(err).toContain("--help");
    }
  });
});

test("--help of each command shows an example of it", async () => {
  for (const command of ["run", "render", "validate", "plan", "status"]) {
    const { code, out } = await sluiceCommand([command, "--help"]);
    expect({ command, code }).toEqual({ command, code: 0 });
    expect(out).toMatch(new RegExp(`^Example:\\n {2}sluice ${command} --`, "m"));
  }
});

function sluice(command: string, ...args: readonly string[]): Promise<CommandResult> {
  return sluiceCommand([command, "--settings", home.settingsFile, ...args]);
}

/** Copies the shipped template with a line more; the path of the main file. */
async function template(name: string, line: string): Promise<string> {
  const directory = path.join(home.directory, name);
  await mkdir(directory);
  await cp(fileURLToPath(new URL("../../haproxy/", import.meta.url)), directory, { recursive: true });
  const frontend = path.join(directory, "frontend-http.njk");
  const text = await readFile(frontend, "utf8");
  expect(text).toContain(lastOfFrontend);
  await writeFile(frontend, text.replace(lastOfFrontend, `${lastOfFrontend}\n  ${line}`));
  return path.join(directory, "haproxy.cfg.njk");
}

/** The line that the operator adds when it puts a file in place. */
function withoutStructure(text: string): string {
  return text.replace(/^ *setenv SLUICE_STRUCTURE .*\n/m, "");
}
