/**
 * A Docker engine of the tests' own: its own socket, data, bridge and addresses, so that it stands beside whatever else
 * is on the machine. It ends with the run, and what a run that was killed has left is removed by the next one.
 */
import { execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Where sockets are: their paths have to be short. */
const socketParent = "/tmp";
/** Where layers of images may be: gigabytes. */
const dataParents = ["/var/tmp", "/tmp"];
const prefix = "sluice-engine-";
/** Its containers have this long to end when it ends, s. */
const shutdownSeconds = 5;
const startLimitMs = 60_000;
const endLimitMs = 30_000;
/** File systems that cannot carry overlay2 (statfs(2)): tmpfs, overlayfs. */
const unfit = [0x01021994, 0x794c7630];
const forwardingFile = "/proc/sys/net/ipv4/ip_forward";
/** Debian keeps the daemon and the network's tools there. */
const path = `${process.env.PATH}:/usr/sbin:/sbin:/usr/local/bin`;

/**
 * Starts an engine.
 *
 * @returns {Promise<{ host: string, end: () => Promise<void> }>} what DOCKER_HOST is to be
 * @throws Error with the daemon's last words when it does not answer in time
 */
export async function startEngine() {
  await removeLeftovers();
  const directory = mkdtempSync(join(socketParent, prefix));
  const parent = dataParents.find((at) => existsSync(at) && !unfit.includes(statfsSync(at).type)) ?? socketParent;
  const data = mkdtempSync(join(parent, `${prefix}data-`));
  const host = `unix://${join(directory, "docker.sock")}`;
  const bridge = `sluice${directory.slice(-6).toLowerCase()}`;
  const engine = { pid: 0, owner: process.pid, directory, data, bridge, before: forwarding() };
  const record = () => writeFileSync(join(directory, "engine.json"), JSON.stringify(engine));
  record();
  try {
    command("ip", ["link", "add", "name", bridge, "type", "bridge"]);
    command("ip", ["address", "add", `${freeSubnet()}.1/24`, "dev", bridge]);
    command("ip", ["link", "set", bridge, "up"]);
    const log = join(directory, "log");
    const child = spawnDaemon(
      [
        ...["--host", host, "--data-root", data, "--exec-root", join(directory, "exec")],
        ...["--pidfile", join(directory, "docker.pid"), "--bridge", bridge],
        // A network for tests of networks (RFC 2544): none of those that people use is hidden. A subnet that this machine
        // has a route to is passed over by the daemon.
        ...["--default-address-pool", "base=198.18.128.0/17,size=24"],
        // Where a containerd runs already the daemon takes that one: its containers must not be another engine's.
        ...["--containerd-namespace", bridge, "--containerd-plugins-namespace", `${bridge}-plugins`],
        ...["--shutdown-timeout", String(shutdownSeconds)],
      ],
      log,
    );
    engine.pid = child.pid ?? 0;
    record();
    let ended;
    child.once("error", (error) => {
      ended = error.message;
    });
    child.once("exit", (code, signal) => {
      ended = signal ?? `exit code ${code}`;
    });
    const deadline = Date.now() + startLimitMs;
    while (!answers(host)) {
      if (ended !== undefined || Date.now() > deadline) {
        const words = readFileSync(log, "utf8").trim().split("\n").slice(-5).join("\n");
        throw new Error(`dockerd ${ended === undefined ? "does not answer" : `ended (${ended})`}:\n${words}`);
      }
      await sleep(200);
    }
  } catch (thrown) {
    await remove(engine);
    throw thrown;
  }
  return { host, end: () => remove(engine) };
}

/** Whether an engine answers there. Without a host: the one of DOCKER_HOST, or of this machine. */
export function answers(host) {
  try {
    const env = { ...process.env, PATH: path, ...(host !== undefined && { DOCKER_HOST: host }) };
    execFileSync("docker", ["version", "--format", "{{.Server.Version}}"], { env, stdio: "ignore", timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}

/** Engines of runs that are no more. */
async function removeLeftovers() {
  for (const name of readdirSync(socketParent).filter((one) => one.startsWith(prefix))) {
    const file = join(socketParent, name, "engine.json");
    if (!existsSync(file)) continue;
    const engine = JSON.parse(readFileSync(file, "utf8"));
    if (!existsSync(`/proc/${engine.owner}`)) await remove(engine);
  }
}

function spawnDaemon(args, log) {
  mkdirSync(join(log, ".."), { recursive: true });
  const out = openSync(log, "a");
  // It gets SIGTERM when this process is killed, and takes its containers along.
  const child = spawn("setpriv", ["--pdeathsig", "TERM", "dockerd", ...args], {
    env: { ...process.env, PATH: path },
    stdio: ["ignore", out, out],
    detached: true,
  });
  closeSync(out);
  return child;
}

/** Ends a daemon that is still the one it was, with its containers, and removes all it had. */
async function remove({ pid, directory, data, bridge, before }) {
  const runs = () => pid > 0 && commandLine(pid).includes(directory);
  if (runs()) {
    // Containers that heed no SIGTERM would be waited for.
    attempt("sh", [
      "-c",
      'docker -H "$0" ps -q | xargs -r docker -H "$0" kill',
      `unix://${join(directory, "docker.sock")}`,
    ]);
    process.kill(pid, "SIGTERM");
  }
  const deadline = Date.now() + endLimitMs;
  while (runs() && Date.now() < deadline) await sleep(100);
  // With it go the containers' own watchers, and containerd, which have its directory on their command lines.
  for (const left of processes().filter((one) => commandLine(one).includes(directory))) {
    try {
      process.kill(left, "SIGKILL");
    } catch {
      // It ended by itself meanwhile.
    }
  }
  for (const mount of mounts().filter((at) => at.startsWith(`${directory}/`) || at.startsWith(`${data}/`))) {
    attempt("umount", ["--lazy", mount]);
  }
  removeRules(bridge);
  attempt("ip", ["link", "delete", bridge]);
  restoreForwarding(before);
  rmSync(data, { recursive: true, force: true, maxRetries: 5 });
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

/** Whether this machine passes packets on, and which: a daemon turns that on, and denies what is not its own. */
function forwarding() {
  const policy = /^-P FORWARD (\w+)/m.exec(attempt("iptables", ["-S", "FORWARD"]) ?? "")?.[1];
  return { on: readFileSync(forwardingFile, "utf8").trim(), policy };
}

function restoreForwarding({ on, policy }) {
  if (policy !== undefined) attempt("iptables", ["-P", "FORWARD", policy]);
  attempt("sysctl", ["-qw", `net.ipv4.ip_forward=${on}`]);
}

function processes() {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid);
}

function commandLine(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

/** The rules for packets that name the bridge; the daemon leaves them behind. */
function removeRules(bridge) {
  for (const table of ["filter", "nat"]) {
    const rules = attempt("iptables", ["--wait", "--table", table, "--list-rules"]) ?? "";
    for (const rule of rules.split("\n").filter((line) => line.split(" ").includes(bridge))) {
      attempt("iptables", ["--wait", "--table", table, ...rule.replace("-A", "--delete").split(" ")]);
    }
  }
}

/** The innermost first. */
function mounts() {
  return readFileSync("/proc/self/mounts", "utf8")
    .trim()
    .split("\n")
    .map((line) => line.split(" ")[1])
    .reverse();
}

/** The first three numbers of a subnet of 198.18.0.0/17 that no interface here has an address of. */
function freeSubnet() {
  // Bridges that are down count too, as an engine that ended leaves its own behind: networkInterfaces() passes them over.
  const taken = [...command("ip", ["-4", "-oneline", "address"]).matchAll(/ inet (\d+[.]\d+[.]\d+)[.]/g)].map(
    ([, subnet]) => subnet,
  );
  const free = [...Array(128).keys()].map((third) => `198.18.${third}`).find((subnet) => !taken.includes(subnet));
  if (free === undefined) throw new Error("every subnet of 198.18.0.0/17 is taken");
  return free;
}

/**
 * @returns what it printed
 * @throws Error with what it said, when it does not end with 0
 */
function command(program, args) {
  const env = { ...process.env, PATH: path };
  return execFileSync(program, args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** The same; undefined where it fails, since what it was to remove is not there. */
function attempt(program, args) {
  try {
    return command(program, args);
  } catch {
    return undefined;
  }
}
