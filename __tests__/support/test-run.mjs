/**
 * Everything `npm test` checks, in order, each part's output as it comes; closes with one line, `N passed, N failed`.
 *
 *   node __tests__/support/test-run.mjs             everything
 *   node __tests__/support/test-run.mjs integration only the tests of that folder, or of several
 *   node __tests__/support/test-run.mjs --versions  the integration tests on every version of HAProxy we support;
 *                                                   with folders behind it, the tests of those
 *
 *   node __tests__/support/test-run.mjs --reload-sf the integration and fault tests with operators that reload HAProxy by
 *                                                   -sf; with folders behind it, the tests of those
 *
 * The parts: format and lint, types, import rules, dead code (each counts as one), then the tests. Where binaries are
 * missing a test may skip itself; under CI=true docker/setup.sh has seen to all of them, so there a skipped test is one
 * that could have run, and counts as failed.
 *
 * The tests run on the HAProxy that docker/setup.sh found. Under CI=true the integration tests then run on the other
 * versions as well, but for some, for want of time (test-lists.mjs); docker/setup-versions.sh gets those versions, and
 * that it cannot is a failure there. Then tests where the kind of reload matters run once more with `haproxy.reload: sf`.
 *
 * The end-to-end tests (e2e) run when they are named, and last of all under CI=true: they need a Docker engine, for which
 * engine.mjs starts one where none answers, and take long. That there can be none is a failure under CI.
 *
 * Exit code 0 when nothing failed, else 1.
 */
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { alike, reloading, versioned, versionless } from "./test-lists.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const ci = process.env["CI"] === "true";
/** A part that takes longer hangs. */
const partLimitMs = 45 * 60_000;
/** Folders of tests that share nothing but the processor, and may run beside each other. */
const parallelFolders = ["unit", "property"];
/** What docker/setup.sh found; what is set already stays. */
const setup = join(process.env["XDG_CACHE_HOME"] || join(process.env["HOME"] || homedir(), ".cache"), "sluice", "env");
if (existsSync(setup)) process.loadEnvFile(setup);

/** The tests that need a Docker engine. */
const containers = "e2e";

const results = mkdtempSync(join(tmpdir(), "sluice-test-"));
const total = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
const skips = [];
/** One line for each suite: what it ran on, what came of it, how long it took. */
const suites = [];
/** What the last line says besides. */
let closing = "";
let running;
let engine;

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, async () => {
    endRunning(signal);
    await engine?.end();
    rmSync(results, { recursive: true, force: true });
    process.exit(1);
  });
}

for (const path of [...versionless, ...versioned, ...reloading, ...alike]) {
  if (!existsSync(join(root, path))) fail(`test-lists.mjs names ${path}, which does not exist`);
}
const everyVersion = process.argv.includes("--versions");
const bySf = process.argv.includes("--reload-sf");
const wanted = process.argv.slice(2).filter((word) => word !== "--versions" && word !== "--reload-sf");
const folders = testFolders().filter((folder) => wanted.length === 0 || wanted.includes(folder));
for (const folder of wanted) if (!folders.includes(folder)) fail(`tests: ${folder}: no such tests`);
if (bySf) {
  const chosen = wanted.length === 0 ? ["integration", "faults"] : folders;
  for (const folder of chosen) await tests([folder], ["--runInBand"], undefined, { sf: true });
} else if (everyVersion) {
  for (const haproxy of await haproxyVersions()) {
    for (const folder of wanted.length === 0 ? ["integration"] : folders)
      await tests([folder], ["--runInBand"], haproxy);
  }
} else {
  if (wanted.length === 0) {
    await check("format and lint", "lint");
    await check("types", "types");
    await check("import rules", "imports");
    await check("dead code", "dead");
  }
  const parallel = folders.filter((folder) => parallelFolders.includes(folder));
  if (parallel.length > 0) await tests(parallel, []);
  // These start HAProxy and Consul: beside each other on a small machine they would measure each other.
  const serial = folders.filter((folder) => !parallelFolders.includes(folder) && folder !== containers);
  for (const folder of serial) await tests([folder], ["--runInBand"]);
  if (wanted.length === 0 && ci) {
    const others = (await haproxyVersions()).filter(({ binary }) => binary !== process.env["SLUICE_HAPROXY"]);
    for (const haproxy of others) await tests(["integration"], ["--runInBand"], haproxy, { without: alike });
    await tests(["integration", "faults"], ["--runInBand"], undefined, { sf: true, paths: reloading });
  } else if (wanted.length === 0) {
    skips.push(
      "the integration tests on other versions of HAProxy: `npm run test:versions` runs them, and CI=true does",
      "the tests with haproxy.reload: sf: `npm run test:sf` runs them, and CI=true runs a part of them",
    );
  }
}

if (!everyVersion && !bySf && folders.includes(containers)) {
  if (wanted.includes(containers) || ci) await endToEnd();
  else skips.push("the end-to-end tests with containers: `npm run test:e2e` runs them, and CI=true does");
}

rmSync(results, { recursive: true, force: true });
console.log("");
for (const suite of suites) console.log(suite);
for (const skip of skips) console.log(`NOT RUN  ${skip}`);
for (const failure of failures) console.log(`FAILED  ${failure}`);
console.log(
  `${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ""}${closing}`,
);
process.exitCode = total.failed > 0 ? 1 : 0;

/** Runs a script of package.json that passes or fails as a whole. */
async function check(title, script) {
  announce(title);
  const problem = await run("npm", ["run", "--silent", script]);
  count(title, problem);
}

/**
 * The versions of HAProxy that can be had here, the oldest first.
 *
 * @returns {Promise<{ version: string, binary: string }[]>}
 */
async function haproxyVersions() {
  announce("versions of HAProxy");
  const file = join(results, "versions");
  const out = openSync(file, "w");
  const problem = await run("sh", ["docker/setup-versions.sh"], { out });
  closeSync(out);
  if (problem !== undefined) {
    const what = "some versions of HAProxy cannot be had here, see what `sh docker/setup-versions.sh` says";
    if (ci) fail(`${what} (${problem})`);
    else skips.push(`tests: ${what}`);
  }
  const found = readFileSync(file, "utf8").matchAll(/^(\S+) (.+)$/gm);
  return [...found].map(([, version, binary]) => ({ version, binary }));
}

/**
 * Runs the tests of some folders of __tests__, on a certain HAProxy or the usual one, and takes Jest's numbers.
 *
 * @param more.sf whether the operators are to reload by -sf
 * @param more.paths which tests; default: all of the folders
 * @param more.without which of them not
 */
async function tests(names, flags, haproxy, { sf = false, paths: given, without = [] } = {}) {
  const on = sf ? " with haproxy.reload: sf" : haproxy === undefined ? "" : ` on HAProxy ${haproxy.version}`;
  const title = `tests: ${names.join(", ")}${on}`;
  announce(title);
  const file = join(results, `${names.join("-")}-${sf ? "sf" : (haproxy?.version ?? "usual")}.json`);
  const usual = haproxy === undefined || haproxy.binary === process.env["SLUICE_HAPROXY"];
  const left = (usual ? [] : [...versionless, ...without]).map((path) => `--testPathIgnorePatterns=${path}`);
  const more = !usual && names.includes("integration") ? versioned : [];
  const paths = given ?? [...names.map((name) => `__tests__/${name}/`), ...more];
  const env = {
    ...(haproxy !== undefined && { SLUICE_HAPROXY: haproxy.binary }),
    ...(sf && { SLUICE_TEST_RELOAD: "sf" }),
  };
  const begin = performance.now();
  // What is left out stands before another flag: it would take the paths for its own.
  const args = ["run", "--silent", "jest", "--", ...left, "--json", `--outputFile=${file}`, ...flags];
  const problem = await run("npm", [...args, ...(ci ? ["--ci"] : []), ...paths], { env });
  const minutes = ((performance.now() - begin) / 60_000).toFixed(1);
  if (!existsSync(file)) {
    count(title, problem ?? "gave no result");
    return;
  }
  const report = JSON.parse(readFileSync(file, "utf8"));
  total.passed += report.numPassedTests;
  suites.push(`${title}: ${report.numPassedTests} passed, ${report.numFailedTests} failed, ${minutes} minutes`);
  for (const suite of report.testResults) {
    const where = suite.name.slice(root.length);
    for (const { status, fullName } of suite.assertionResults) {
      if (status === "failed") fail(`${where}${on}: ${fullName}`);
      if (status === "pending" || status === "todo" || status === "skipped" || status === "disabled") {
        if (ci) fail(`${where}${on}: ${fullName} (skipped)`);
        else total.skipped += 1;
      }
    }
    // A file that could not be loaded has no test that could have failed.
    if (suite.status === "failed" && !suite.assertionResults.some(({ status }) => status === "failed")) {
      fail(`${where}${on}: could not be run`);
    }
  }
  // Tests can pass and Jest fail all the same, for example when it had to be ended.
  if (problem !== undefined && report.success) fail(`${title}: ${problem}`);
}

/** Runs the tests of the five worlds on a Docker engine, and ends what of it is ours. */
async function endToEnd() {
  announce("engine of containers");
  const title = `tests: ${containers}`;
  try {
    const { openEngine } = await import("./engine.mjs");
    const { missing, problem } = await openEngine(run, (started) => {
      engine = started;
    });
    if (problem !== undefined) fail(`${title}: ${problem}`);
    else if (missing === undefined) await tests([containers], ["--runInBand"]);
    else if (ci) fail(`${title}: ${missing}`);
    else {
      skips.push(`${title}: ${missing}`);
      closing = `, NO TEST WITH CONTAINERS: ${missing}`;
    }
    await engine?.end();
  } catch (thrown) {
    fail(`${title}: ${thrown.message}`);
  }
}

function announce(title) {
  console.log(`\n=== ${title}`);
}

function count(title, problem) {
  if (problem === undefined) total.passed += 1;
  else fail(`${title}: ${problem}`);
}

function fail(what) {
  total.failed += 1;
  failures.push(what);
}

/**
 * @param more.env what to add to the environment
 * @param more.out where its standard output goes, a file descriptor; default: to ours
 * @param more.err the same for its standard error
 * @returns undefined when it ended with 0, else how it ended
 */
function run(command, args, { env = {}, out = "inherit", err = "inherit" } = {}) {
  return new Promise((resolve) => {
    // A process group of its own: npm, its shell and Jest's workers can then be ended together.
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ["ignore", out, err],
      detached: true,
    });
    running = child;
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      endRunning("SIGKILL");
    }, partLimitMs);
    const end = (problem) => {
      clearTimeout(timer);
      running = undefined;
      resolve(late ? `not done after ${partLimitMs / 60_000} minutes` : problem);
    };
    child.once("error", (error) => end(error.message));
    child.once("exit", (code, signal) =>
      end(code === 0 ? undefined : signal ? `signal ${signal}` : `exit code ${code}`),
    );
  });
}

function endRunning(signal) {
  try {
    if (running?.pid !== undefined) process.kill(-running.pid, signal);
  } catch {
    // It ended by itself meanwhile.
  }
}

/** Folders of __tests__ that hold tests, the quick ones first. */
function testFolders() {
  const at = join(root, "__tests__");
  const holding = readdirSync(at, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .filter((name) => readdirSync(join(at, name), { recursive: true }).some((file) => file.endsWith(".test.ts")));
  return [
    ...parallelFolders.filter((name) => holding.includes(name)),
    ...holding.filter((name) => !parallelFolders.includes(name)),
  ];
}
