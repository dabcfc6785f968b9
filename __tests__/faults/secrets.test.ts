import { lstat, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import {
  eventually,
  processesOf,
  type RunningSluice,
  runProgram,
  type SluiceHome,
  sluiceCommand,
} from "../support/sluice.ts";
import { answers, ask, Scene } from "../support/system.ts";

jest.setTimeout(180_000);

const host = "web.service.local";
const management = "00000000-0000-4000-8000-00000000000a";
const acl = `acl { enabled = true default_policy = "deny" tokens { initial_management = "${management}" agent = "${management}" } }`;
const rules = 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }';
/** As a whole it is nowhere but in haproxy.cfg. */
const password = "stats-secret-5e7c";
const program = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

let scene: Scene;
let consul: ConsulAgent;
let home: SluiceHome;
let token: { readonly AccessorID: string; readonly SecretID: string };
let sluice: RunningSluice;

beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul({ extraArgs: ["-hcl", acl], token: management });
  await consul.put("/v1/acl/policy", { Name: "watcher", Rules: rules });
  token = (await consul.put("/v1/acl/token", { Policies: [{ Name: "watcher" }] })) as typeof token;
  home = await scene.home(consul.address);
});
afterEach(() => scene.end());

interface Source {
  readonly settings: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string>>;
}

const tokenFile = () => path.join(home.directory, "token");

const sources: Readonly<Record<string, (secret: string) => Promise<Source>>> = {
  "the settings file": async (secret) => ({ settings: { token: secret }, env: {} }),
  CONSUL_HTTP_TOKEN: async (secret) => ({ settings: {}, env: { CONSUL_HTTP_TOKEN: secret } }),
  "consul.tokenFile": async (secret) => {
    await writeFile(tokenFile(), `${secret}\n`, { mode: 0o600 });
    return { settings: { tokenFile: tokenFile() }, env: {} };
  },
};

/** Starts the operator so that nothing but Sluice itself narrows the permissions of what it makes. */
async function run({ settings, env }: Source): Promise<void> {
  await home.configure({ log: { level: "debug" }, stats: { password }, consul: { wait: "1s", ...settings } });
  const before = process.umask(0);
  try {
    sluice = runProgram(program, home, env);
  } finally {
    process.umask(before);
  }
  scene.defer(() => sluice.end());
}

/** Fails with the place and the line, where a secret is in a text that is named. */
function expectWithout(secret: string, texts: Readonly<Record<string, string>>): void {
  const found = Object.entries(texts).flatMap(([where, text]) =>
    text
      .split("\n")
      .filter((line) => line.includes(secret))
      .map((line) => `${where}: ${line.slice(0, 300)}`),
  );
  expect(found).toEqual([]);
}

const logged = () =>
  sluice
    .lines()
    .map((line) => JSON.stringify(line))
    .join("\n");

/** All that a process tells everybody, and what only its owner may read. */
async function processTexts(): Promise<{ argv: Record<string, string>; haproxyEnvironment: Record<string, string> }> {
  const argv: Record<string, string> = {};
  const haproxyEnvironment: Record<string, string> = {};
  for (const pid of await processesOf(home)) {
    const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    argv[`/proc/${pid}/cmdline`] = line.replaceAll("\0", " ");
    if (pid === sluice.pid) continue;
    const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
    haproxyEnvironment[`/proc/${pid}/environ`] = environment.replaceAll("\0", "\n");
  }
  return { argv, haproxyEnvironment };
}

interface Entry {
  readonly name: string;
  readonly kind: "file" | "directory" | "socket";
  readonly mode: string;
  /** Of a file. */
  readonly text: string;
}

/** The state directory and all that is in it. */
async function stateEntries(): Promise<readonly Entry[]> {
  const names = ["", ...(await readdir(home.state, { recursive: true }))];
  const entries = names.map(async (name): Promise<Entry | undefined> => {
    const file = path.join(home.state, name);
    try {
      const stat = await lstat(file);
      const kind = stat.isDirectory() ? "directory" : stat.isSocket() ? "socket" : "file";
      const text = kind === "file" ? await readFile(file, "latin1") : "";
      return { name, kind, mode: (stat.mode & 0o7777).toString(8), text };
    } catch {
      // A temporary file that is gone again.
      return undefined;
    }
  });
  return (await Promise.all(entries)).filter((entry) => entry !== undefined);
}

async function expectStateKept(): Promise<void> {
  const entries = await stateEntries();
  expect(entries.filter(({ kind }) => kind === "socket").length).toBeGreaterThanOrEqual(4);
  const open = entries
    .filter(({ kind, mode }) => mode !== (kind === "directory" ? "700" : "600"))
    .map(({ name, kind, mode }) => `${kind} ${name} ${mode}`);
  expect(open).toEqual([]);
  expectWithout(token.SecretID, Object.fromEntries(entries.map(({ name, text }) => [name, text])));
  const holders = entries.filter(({ text }) => text.includes(password)).map(({ name }) => name);
  expect(holders).toContain("haproxy.cfg");
  // The candidate is what becomes haproxy.cfg.
  expect(holders.filter((name) => !/^haproxy\.cfg(\.candidate)?$/.test(name))).toEqual([]);
}

async function command(args: readonly string[], env: Source["env"]): Promise<string> {
  const { out, err } = await sluiceCommand([...args, "--settings", home.settingsFile], env, home.directory);
  return `${out}\n${err}`;
}

test.each(Object.keys(sources))("a token that comes by %s is told nobody, whatever goes wrong", async (name) => {
  const source = (await sources[name]?.(token.SecretID)) as Source;
  await scene.join(consul, "web", "web-1");
  await run(source);
  await answers(home, host);
  await scene.join(consul, "web", "web-2");
  await scene.join(consul, "api", "api-1");
  await answers(home, "api.service.local");
  await consul.deregister("web-2");
  await eventually("the change is in the file", () => sluice.lines().some(({ event }) => event === "file-written"));
  await expectStateKept();
  const { argv, haproxyEnvironment } = await processTexts();
  expect(Object.keys(haproxyEnvironment).length).toBeGreaterThanOrEqual(2);
  expectWithout(token.SecretID, { ...argv, ...haproxyEnvironment });
  expectWithout(password, { ...argv, ...haproxyEnvironment });
  for (const one of Object.values(haproxyEnvironment)) expect(one).not.toMatch(/^(CONSUL_|SLUICE_(?!STRUCTURE=))/m);

  const texts: Record<string, string> = {};
  for (const args of ["status", "status --json", "settings list", "settings list --json", "plan", "validate"]) {
    texts[`sluice ${args}`] = await command(args.split(" "), source.env);
  }
  expect(texts["sluice status --json"]).toContain('"ready"');
  expect(texts["sluice settings list"]).toMatch(/consul\.token +/);
  expectWithout(password, texts);
  texts["sluice render"] = await command(["render"], source.env);
  expect(texts["sluice render"]).toContain(`stats auth admin:${password}`);

  // Refused: 403.
  let seen = sluice.lines().length;
  await consul.fetch("DELETE", `/v1/acl/token/${token.AccessorID}`);
  await sluice.logged((line) => JSON.stringify(line).includes("403"), 60_000, seen);
  for (const args of ["status --json", "plan", "validate --json", "render"]) {
    texts[`sluice ${args}, token refused`] = await command(args.split(" "), source.env);
  }
  expect(texts["sluice plan, token refused"]).toContain("403");
  // Gone.
  seen = sluice.lines().length;
  await consul.stop();
  await sluice.logged((line) => JSON.stringify(line).includes("ECONNREFUSED"), 60_000, seen);
  for (const args of ["status --json", "plan", "validate --json"]) {
    texts[`sluice ${args}, Consul down`] = await command(args.split(" "), source.env);
  }
  expect(texts["sluice plan, Consul down"]).toContain("ECONNREFUSED");
  expect((await ask(home.httpPort, { host })).status).toBe(200);
  await expectStateKept();
  expect(await sluice.end()).toBe(0);

  expectWithout(token.SecretID, { ...texts, "standard output": logged(), "standard error": sluice.errors() });
  expectWithout(password, { "standard output": logged(), "standard error": sluice.errors() });
  const levels = new Set(sluice.lines().map(({ level }) => level));
  process.stdout.write(
    `secrets, token by ${name}: ${sluice.lines().length} lines logged (${[...levels].join(", ")}), ${Object.keys(texts).length} commands, nothing told\n`,
  );
});

/** Secrets that cannot be one: a message about them must not quote them. */
test.each([
  ["with a line break, in the settings file", async () => home.configure({ consul: { token: "s3cr\n3t" } }), {}],
  ["that is a number", async () => home.configure({ consul: { token: 53210003 } }), {}],
  ["that is a list", async () => home.configure({ consul: { token: ["s3cr3t"] } }), {}],
  ["that is empty, and a password that is none", async () => home.configure({ stats: { password: "s3cr\x00t" } }), {}],
  ["in YAML that is broken", async () => writeFile(home.settingsFile, 'consul:\n  token: "s3cr3t\n stats: {'), {}],
  ["under a wrong key", async () => home.configure({ consul: { tokn: "s3cr3t" } }), {}],
  ["with a line break, in the environment", async () => home.configure({}), { CONSUL_HTTP_TOKEN: "s3cr\n3t" }],
  ["under a wrong name in the environment", async () => home.configure({}), { SLUICE_CONSUL_TOKN: "s3cr3t" }],
] as const)("a token %s is refused without being quoted", async (_what, prepare, env) => {
  await prepare();
  for (const args of [["run"], ["validate", "--json"]]) {
    const said = await command(args, env);
    expect(said).toMatch(/ERR_SETTINGS_INVALID/);
    expect(said).not.toMatch(/s3cr|53210003/);
  }
});

test("a token that no header can carry is not quoted either", async () => {
  await writeFile(tokenFile(), "s3cr\n3t-é日\n");
  await run({ settings: { tokenFile: tokenFile() }, env: {} });
  await sluice.logged((line) => line.level === "warn" || line.level === "error", 60_000);
  expect(await command(["plan"], {})).not.toContain("s3cr");
  await sluice.end();
  expectWithout("s3cr", { "standard output": logged(), "standard error": sluice.errors() });
});
