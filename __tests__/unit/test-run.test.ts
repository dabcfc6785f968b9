import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";

// Each test starts a dozen processes, on a machine that may be busy.
jest.setTimeout(60_000);

const runner = "__tests__/support/test-run.mjs";

/** As test-lists.mjs has them: which run once more with haproxy.reload: sf under CI, and which on one version alone. */
const reloading = ["integration/r", "faults/r"];
const alike = ["integration/a"];
const lists = {
  versionless: ["integration/catalog"],
  versioned: ["unit/haproxy/process/validate"],
  reloading,
  alike,
};
const pathOf = (name: string) => `__tests__/${name}.test.ts`;

/** A work tree with a stand-in for Jest, which says on what HAProxy it was asked for what. */
let tree: string;

beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), "sluice-run-"));
  mkdirSync(join(tree, "__tests__", "support"), { recursive: true });
  cpSync(fileURLToPath(new URL("../support/test-run.mjs", import.meta.url)), join(tree, runner));
  const scripts = { lint: "true", types: "true", imports: "true", dead: "true", jest: "node jest.mjs" };
  write("package.json", JSON.stringify({ scripts }));
  for (const name of [
    "unit/a",
    "unit/haproxy/process/validate",
    "property/b",
    "integration/catalog",
    "integration/c",
    "faults/d",
    ...reloading,
    ...alike,
  ]) {
    write(pathOf(name), "");
  }
  const exported = Object.entries(lists).map(
    ([name, all]) => `export const ${name} = ${JSON.stringify(all.map(pathOf))};`,
  );
  write("__tests__/support/test-lists.mjs", exported.join("\n"));
  versions(0);
  write(
    "jest.mjs",
    `import { writeFileSync } from "node:fs";
    const words = process.argv.slice(2);
    // As Jest does: an option that may be repeated takes all words up to the next option.
    const ignored = words.findLastIndex((word) => word.startsWith("--testPathIgnorePatterns="));
    if (words[ignored + 1]?.startsWith("__tests__/")) throw new Error("the paths are taken to be left out");
    const paths = words.filter((word) => word.startsWith("__tests__/"));
    const left = words.filter((word) => word.startsWith("--testPathIgnorePatterns=")).map((word) => " without " + word.slice(25));
    const by = process.env.SLUICE_TEST_RELOAD === undefined ? "" : " by " + process.env.SLUICE_TEST_RELOAD;
    console.log("jest " + paths.join(" ") + left.join("") + " on " + process.env.SLUICE_HAPROXY + by);
    const fails = paths.some((path) => path.startsWith(process.env.FAILING)) && process.env.SLUICE_HAPROXY === "/ha/3.0";
    const status = fails ? "failed" : "passed";
    const file = words.find((word) => word.startsWith("--outputFile=")).slice(13);
    writeFileSync(file, JSON.stringify({
      success: !fails, numPassedTests: fails ? 0 : 1, numFailedTests: fails ? 1 : 0,
      testResults: [{ name: process.cwd() + "/" + paths[0] + "x.test.ts", status, assertionResults: [{ status, fullName: "it" }] }],
    }));
    process.exitCode = fails ? 1 : 0;`,
  );
});

afterEach(() => rmSync(tree, { recursive: true, force: true }));

const onOther = (version: string, without: readonly string[]) =>
  `jest __tests__/integration/ ${pathOf("unit/haproxy/process/validate")}${without.map((name) => ` without ${pathOf(name)}`).join("")} on /ha/${version}`;
const others = ["3.0", "3.2"];
const onOthers = others.map((version) => onOther(version, lists.versionless));

describe("on the versions of HAProxy", () => {
  test("everything runs on the usual one, under CI the integration tests on the others too", () => {
    const bySf = `jest ${reloading.map(pathOf).join(" ")} on /ha/2.6 by sf`;
    const inCi = others.map((version) => onOther(version, [...lists.versionless, ...alike]));
    const usual = [
      "jest __tests__/unit/ __tests__/property/ on /ha/2.6",
      "jest __tests__/faults/ on /ha/2.6",
      "jest __tests__/integration/ on /ha/2.6",
    ];
    const here = run([]);
    expect(here).toMatchObject({ status: 0, calls: usual, last: "7 passed, 0 failed" });
    expect(here.output).toContain("NOT RUN  the integration tests on other versions of HAProxy");
    expect(here.output).toContain("NOT RUN  the tests with haproxy.reload: sf");

    const ci = run([], { CI: "true" });
    expect(ci).toMatchObject({ status: 0, calls: [...usual, ...inCi, bySf], last: "10 passed, 0 failed" });
    expect(ci.output).not.toContain("NOT RUN");
  });

  test("--versions runs the integration tests on each, or the folders that are named, and tells the time", () => {
    const { status, calls, last, output } = run(["--versions"]);
    expect({ status, calls, last }).toEqual({
      status: 0,
      calls: ["jest __tests__/integration/ on /ha/2.6", ...onOthers],
      last: "3 passed, 0 failed",
    });
    expect(output).toMatch(/^tests: integration on HAProxy 3\.2: 1 passed, 0 failed, [0-9]+\.[0-9] minutes$/m);
    expect(run(["--versions", "faults"]).calls).toEqual(
      ["2.6", "3.0", "3.2"].map((version) => expect.stringMatching(`^jest __tests__/faults/ .*on /ha/${version}$`)),
    );
  });

  test("a test that fails on one of them fails the run, and says on which", () => {
    const { status, last, output } = run(["--versions"], { FAILING: "__tests__/integration/" });
    expect({ status, last }).toEqual({ status: 1, last: "2 passed, 1 failed" });
    expect(output).toMatch(/^FAILED {2}__tests__\/integration\/x\.test\.ts on HAProxy 3\.0: it$/m);
  });

  test("what cannot be had is told, and is a failure under CI; the others run", () => {
    versions(1);
    const calls = ["jest __tests__/integration/ on /ha/2.6", onOthers[0]];
    const here = run(["--versions"]);
    expect(here).toMatchObject({ status: 0, calls, last: "2 passed, 0 failed" });
    expect(here.output).toMatch(/^NOT RUN {2}tests: some versions of HAProxy cannot be had here/m);
    const ci = run(["--versions"], { CI: "true" });
    expect(ci).toMatchObject({ status: 1, calls, last: "2 passed, 1 failed" });
    expect(ci.output).toMatch(/^FAILED {2}some versions of HAProxy cannot be had here.*exit code 1/m);
  });
});

test("--reload-sf runs integration and faults by -sf, or the folders that are named", () => {
  const { status, calls, last, output } = run(["--reload-sf"]);
  expect({ status, calls, last }).toEqual({
    status: 0,
    calls: ["jest __tests__/integration/ on /ha/2.6 by sf", "jest __tests__/faults/ on /ha/2.6 by sf"],
    last: "2 passed, 0 failed",
  });
  expect(output).toMatch(/^tests: faults with haproxy\.reload: sf: 1 passed, 0 failed, [0-9]+\.[0-9] minutes$/m);
  expect(run(["--reload-sf", "faults"]).calls).toEqual(["jest __tests__/faults/ on /ha/2.6 by sf"]);
});

describe("the end-to-end tests", () => {
  const e2e = "jest __tests__/e2e/ on /ha/2.6";

  beforeEach(() => write("__tests__/e2e/e.test.ts", ""));

  test("are named as not run, unless they are asked for or CI is; the engine is ended behind them", () => {
    engine({});
    const here = run([]);
    expect(here.calls).not.toContain(e2e);
    expect(here.output).toMatch(/^NOT RUN {2}the end-to-end tests with containers: `npm run test:e2e` runs them/m);
    const asked = run(["e2e"]);
    expect(asked).toMatchObject({ status: 0, calls: [e2e], last: "1 passed, 0 failed" });
    expect(asked.output).toContain(`${e2e}\nengine ended`);
    const ci = run([], { CI: "true" });
    expect(ci.calls.at(-1)).toBe(e2e);
    expect(ci.output).not.toContain("NOT RUN");
  });

  test("without an engine are named as not run, which under CI is a failure", () => {
    engine({ missing: "no engine, alas" });
    const here = run(["e2e"]);
    const last = "0 passed, 0 failed, NO TEST WITH CONTAINERS: no engine, alas";
    expect(here).toMatchObject({ status: 0, calls: [], last });
    expect(here.output).toMatch(/^NOT RUN {2}tests: e2e: no engine, alas$/m);
    const ci = run(["e2e"], { CI: "true" });
    expect(ci).toMatchObject({ status: 1, calls: [], last: "0 passed, 1 failed" });
    expect(ci.output).toMatch(/^FAILED {2}tests: e2e: no engine, alas$/m);
  });

  test("fail where the images cannot be built", () => {
    engine({ problem: "exit code 1" });
    const { status, calls, last, output } = run(["e2e"]);
    expect({ status, calls, last }).toEqual({ status: 1, calls: [], last: "0 passed, 1 failed" });
    expect(output).toContain("engine ended");
  });
});

test("a folder without tests is a failure", () => {
  expect(run(["nothing"])).toMatchObject({ status: 1, calls: [], last: "0 passed, 1 failed" });
});

/** A stand-in for engine.mjs, with such an engine. */
function engine(found: { readonly missing?: string; readonly problem?: string }): void {
  const text = `export async function openEngine(run, started) {
    ${found.missing === undefined ? 'started({ end: async () => console.log("engine ended") });' : ""}
    return ${JSON.stringify(found)};
  }`;
  write("__tests__/support/engine.mjs", text);
}

/** Has docker/setup-versions.sh end like this, with the newest version missing unless that is 0. */
function versions(exitCode: number): void {
  const lines = ["2.6 /ha/2.6", "3.0 /ha/3.0", ...(exitCode === 0 ? ["3.2 /ha/3.2"] : [])];
  write("docker/setup-versions.sh", `${lines.map((line) => `echo ${line}\n`).join("")}exit ${exitCode}\n`);
}

function write(name: string, text: string): void {
  mkdirSync(dirname(join(tree, name)), { recursive: true });
  writeFileSync(join(tree, name), text);
  chmodSync(join(tree, name), 0o755);
}

function run(words: readonly string[], more: Readonly<Record<string, string>> = {}) {
  const { PATH = "", HOME = "" } = process.env;
  const env = { PATH, HOME, XDG_CACHE_HOME: join(tree, "cache"), SLUICE_HAPROXY: "/ha/2.6", ...more };
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(tree, runner), ...words], {
    env,
    encoding: "utf8",
  });
  const lines = stdout.trim().split("\n");
  return {
    status,
    calls: lines.filter((line) => line.startsWith("jest ")),
    last: lines.at(-1),
    output: stdout + stderr,
  };
}
