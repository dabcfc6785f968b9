/**
 * Everything `npm test` checks, in order, each part's output as it comes; closes with one line, `N passed, N failed`.
 *
 *   node __tests__/support/test-run.mjs             everything
 *   node __tests__/support/test-run.mjs integration only the tests of that folder, or of several
 *
 * The parts: format and lint, types, import rules, dead code (each counts as one), then the tests. Where binaries are
 * missing a test may skip itself; under CI=true docker/setup.sh has seen to all of them, so there a skipped test is one
 * that could have run, and counts as failed.
 *
 * Exit code 0 when nothing failed, else 1.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const ci = process.env["CI"] === "true";
/** A part that takes longer hangs. */
const partLimitMs = 30 * 60_000;
/** Folders of tests that share nothing but the processor, and may run beside each other. */
const parallelFolders = ["unit", "property"];

/** What docker/setup.sh found; what is set already stays. */
const setup = join(process.env["XDG_CACHE_HOME"] || join(process.env["HOME"] || homedir(), ".cache"), "sluice", "env");
if (existsSync(setup)) process.loadEnvFile(setup);

const results = mkdtempSync(join(tmpdir(), "sluice-test-"));
const total = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
let running;

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    endRunning(signal);
    rmSync(results, { recursive: true, force: true });
    process.exit(1);
  });
}

const wanted = process.argv.slice(2);
if (wanted.length === 0) {
  await check("format and lint", "lint");
  await check("types", "types");
  await check("import rules", "imports");
  await check("dead code", "dead");
}
const folders = testFolders().filter((folder) => wanted.length === 0 || wanted.includes(folder));
for (const folder of wanted) if (!folders.includes(folder)) fail(`tests: ${folder}: no such tests`);
const parallel = folders.filter((folder) => parallelFolders.includes(folder));
if (parallel.length > 0) await tests(parallel, []);
// These start HAProxy and Consul: beside each other on a small machine they would measure each other.
for (const folder of folders) if (!parallelFolders.includes(folder)) await tests([folder], ["--runInBand"]);

rmSync(results, { recursive: true, force: true });
console.log("");
for (const failure of failures) console.log(`FAILED  ${failure}`);
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ""}`);
process.exitCode = total.failed > 0 ? 1 : 0;

/** Runs a script of package.json that passes or fails as a whole. */
async function check(title, script) {
  announce(title);
  const problem = await run("npm", ["run", "--silent", script]);
  count(title, problem);
}

/** Runs the tests of some folders of __tests__ and takes Jest's numbers. */
async function tests(names, flags) {
  const title = `tests: ${names.join(", ")}`;
  announce(title);
  const file = join(results, `${names.join("-")}.json`);
  const paths = names.map((name) => `__tests__/${name}/`);
  const args = ["run", "--silent", "jest", "--", "--json", `--outputFile=${file}`, ...flags];
  const problem = await run("npm", [...args, ...(ci ? ["--ci"] : []), ...paths]);
  if (!existsSync(file)) {
    count(title, problem ?? "gave no result");
    return;
  }
  const report = JSON.parse(readFileSync(file, "utf8"));
  total.passed += report.numPassedTests;
  for (const suite of report.testResults) {
    const where = suite.name.slice(root.length);
    for (const { status, fullName } of suite.assertionResults) {
      if (status === "failed") fail(`${where}: ${fullName}`);
      if (status === "pending" || status === "todo" || status === "skipped" || status === "disabled") {
        if (ci) fail(`${where}: ${fullName} (skipped)`);
        else total.skipped += 1;
      }
    }
    // A file that could not be loaded has no test that could have failed.
    if (suite.status === "failed" && !suite.assertionResults.some(({ status }) => status === "failed")) {
      fail(`${where}: could not be run`);
    }
  }
  // Tests can pass and Jest fail all the same, for example when it had to be ended.
  if (problem !== undefined && report.success) fail(`${title}: ${problem}`);
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

/** @returns undefined when it ended with 0, else how it ended */
function run(command, args) {
  return new Promise((resolve) => {
    // A process group of its own: npm, its shell and Jest's workers can then be ended together.
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"], detached: true });
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
