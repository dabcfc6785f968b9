/**
 * What the end-to-end tests stand on: a Docker engine, and our images on it. Used by test-run.mjs.
 *
 * An engine that answers is used: the one of DOCKER_HOST, or of this machine. Else one of our own is started, and
 * DOCKER_HOST names it from then on.
 */
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answers, startEngine } from "./engine-daemon.mjs";

/** What the tests call what they make, with the id of their process: `sluice-e2e-web-1234_web_1`, see compose.ts. */
const prefix = "sluice-e2e-";
const named = /^sluice-e2e-(?:[a-z]+-|r)(\d+)(?!\d)/;
/** What is built: all of compose.yml, and the one container that has it all. */
const stacks = [
  ["-f", "compose.yml"],
  ["-f", "compose.yml", "-f", "docker/compose.all-in-one.yml"],
];
/** Of a build that failed, lines of its output. */
const shownLines = 60;

/**
 * Sees to an engine with our images built.
 *
 * @param {(command: string, args: string[], options: object) => Promise<string | undefined>} run runs a program with its
 *   output going to the file descriptors `out` and `err`, by default to ours; gives undefined when it ended with 0, else
 *   how it ended
 * @param {(engine: { end: () => Promise<void> }) => void} started told as soon as there is something to end
 * @returns {Promise<{ missing?: string, problem?: string }>} missing: why there is no engine;
 *   problem: what failed on one
 */
export async function openEngine(run, started) {
  const unready = await run("sh", ["docker/setup-engine.sh"]);
  if (unready !== undefined) return { missing: "no Docker engine, see what `sh docker/setup-engine.sh` says" };
  let engine;
  if (!answers()) {
    console.log("no Docker engine answers; starting one of our own");
    try {
      engine = await startEngine();
    } catch (thrown) {
      return { missing: `no Docker engine could be started: ${thrown.message}` };
    }
    process.env.DOCKER_HOST = engine.host;
  }
  const end = async () => {
    removeProjects();
    await engine?.end();
  };
  started({ end });
  removeProjects();
  const unmade = (await run("sh", ["docker/setup-images.sh"])) ?? (await build(run));
  return unmade === undefined ? {} : { problem: `our images could not be built (${unmade})` };
}

async function build(run) {
  const begin = performance.now();
  const words = ["docker-compose", "docker compose"].map((line) => line.split(" "));
  const [program, ...more] = words.find((one) => output([...one, "version"]) !== undefined);
  const profiles = (output([program, ...more, "-f", "compose.yml", "config", "--profiles"]) ?? "")
    .split("\n")
    .filter((name) => name !== "")
    .flatMap((name) => ["--profile", name]);
  const directory = mkdtempSync(join(tmpdir(), "sluice-build-"));
  try {
    for (const files of stacks.filter((one) => existsSync(one.at(-1)))) {
      const log = join(directory, "log");
      const file = openSync(log, "w");
      const options = { out: file, err: file };
      const problem = await run(program, [...more, ...files, ...profiles, "build"], options);
      closeSync(file);
      if (problem !== undefined) {
        console.log(readFileSync(log, "utf8").trim().split("\n").slice(-shownLines).join("\n"));
        return problem;
      }
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  console.log(`our images are built, in ${((performance.now() - begin) / 60_000).toFixed(1)} minutes`);
  return undefined;
}

/** Removes what tests that are no more have left. */
function removeProjects() {
  const kinds = [
    { list: ["ps", "-a"], remove: ["rm", "-f", "-v"], name: "{{.Names}}" },
    { list: ["network", "ls"], remove: ["network", "rm"], name: "{{.Name}}" },
    { list: ["volume", "ls"], remove: ["volume", "rm", "-f"], name: "{{.Name}}" },
  ];
  for (const { list, remove, name } of kinds) {
    const names = (output(["docker", ...list, "--filter", `name=${prefix}`, "--format", name]) ?? "").split("\n");
    const left = names.filter((one) => named.test(one) && !existsSync(`/proc/${named.exec(one)[1]}`));
    if (left.length > 0) output(["docker", ...remove, ...left]);
  }
}

/** What a program prints; undefined where it does not end with 0. */
function output([program, ...args]) {
  try {
    return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return undefined;
  }
}
