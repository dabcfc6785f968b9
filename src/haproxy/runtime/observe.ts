import { SluiceError } from "../../support/errors.ts";
import { canonicalIp } from "../../support/ip.ts";
import type { MapEntry, ObservedServer, WorkerInfo } from "./types.ts";

/**
 * Servers as `show servers state [<backend>]` tells them (management guide 9.3). Columns are found by the names of the
 * header line, whose number grows with the versions:
 *
 * ```text
 * 1                                                              version of the layout
 * # be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight … srv_check_result … srv_port …
 * 3 b 1 s1 127.0.0.1 0 0 3 1 1 8 2 0 6 0 0 0 - 18090 - 0 0 - - 0
 * ```
 *
 * A server at a Unix socket has `-` or a path for its address.
 *
 * @throws {SluiceError} ERR_HAPROXY_ANSWER for any other layout
 */
export function parseServersState(answer: string): readonly ObservedServer[] {
  const lines = answer.split("\n");
  if (lines[0] !== "1") throw unknownLayout("show servers state", `layout version ${JSON.stringify(lines[0])}`);
  const header = lines[1] ?? "";
  const names = header.replace(/^# /, "").split(" ");
  const column = (name: string): number => {
    const index = header.startsWith("# ") ? names.indexOf(name) : -1;
    if (index === -1) throw unknownLayout("show servers state", `no column ${name} in ${JSON.stringify(header)}`);
    return index;
  };
  const at = {
    backend: column("be_name"),
    name: column("srv_name"),
    address: column("srv_addr"),
    port: column("srv_port"),
    operational: column("srv_op_state"),
    admin: column("srv_admin_state"),
    weight: column("srv_uweight"),
    check: column("srv_check_result"),
  };
  const servers: ObservedServer[] = [];
  for (let index = 2; index < lines.length; index += 1) {
    const line = lines[index] ?? "";
    if (line === "") continue;
    const cells = line.split(" ");
    if (cells.length < names.length) throw unknownLayout("show servers state", JSON.stringify(line));
    const text = (cell: number): string => cells[cell] ?? "";
    const number = (cell: number): number => {
      if (!/^[0-9]+$/.test(text(cell))) throw unknownLayout("show servers state", JSON.stringify(line));
      return Number(text(cell));
    };
    const admin = number(at.admin);
    servers.push({
      backend: text(at.backend),
      name: text(at.name),
      address: canonicalIp(text(at.address)) ?? text(at.address),
      port: text(at.port) === "-" ? 0 : number(at.port),
      weight: number(at.weight),
      maintenance: (admin & forcedMaintenance) !== 0,
      drain: (admin & forcedDrain) !== 0,
      operational: number(at.operational),
      check: checkResult(number(at.check)),
    });
  }
  return servers;
}

/** Bits of srv_admin_state (management guide 9.3, `show servers state`). */
const forcedMaintenance = 1;
const forcedDrain = 8;

/** srv_check_result: 0 unknown, 1 neutral, 2 failed, 3 passed, 4 conditionally passed. */
function checkResult(code: number): ObservedServer["check"] {
  if (code === 2) return "failed";
  return code >= 3 ? "passed" : "none";
}

/**
 * The backends of a process, also those without servers, from `show backend` (management guide 9.3): `# name`, then a name
 * a line.
 *
 * @returns undefined where the answer is another one
 */
export function parseBackends(answer: string): ReadonlySet<string> | undefined {
  const [header, ...names] = answer.split("\n");
  return header === "# name" ? new Set(names.map((name) => name.trim())) : undefined;
}

/** `show servers state` and `show stat` of a backend that is not there. */
export function isUnknownBackend(answer: string): boolean {
  return answer === "Can't find backend.";
}

/**
 * The worker that answers, from `show info` (management guide 9.3): one `Name: value` a line.
 *
 * @throws {SluiceError} ERR_HAPROXY_ANSWER when a field is missing
 */
export function parseInfo(answer: string): WorkerInfo {
  const fields = new Map<string, string>();
  for (const line of answer.split("\n")) {
    const end = line.indexOf(": ");
    if (end !== -1) fields.set(line.slice(0, end), line.slice(end + 2).trim());
  }
  const text = (name: string): string => {
    const value = fields.get(name);
    if (value === undefined) throw unknownLayout("show info", `no ${name} in ${JSON.stringify(answer.slice(0, 200))}`);
    return value;
  };
  const number = (name: string): number => {
    const value = Number(text(name));
    if (!Number.isInteger(value)) throw unknownLayout("show info", `${name} is ${JSON.stringify(text(name))}`);
    return value;
  };
  return {
    pid: number("Pid"),
    versionText: text("Version"),
    stopping: number("Stopping") !== 0,
    uptimeSeconds: number("Uptime_sec"),
  };
}

/**
 * The value in the answer to `show env NAME` (management guide 9.3): `NAME=value`, or `Variable not found`.
 *
 * @throws {SluiceError} ERR_HAPROXY_ANSWER for anything else
 */
export function parseEnv(answer: string, name: string): string | undefined {
  if (answer.startsWith(`${name}=`)) return answer.slice(name.length + 1);
  if (answer === "Variable not found") return undefined;
  throw unknownLayout("show env", JSON.stringify(answer.slice(0, 200)));
}

/**
 * Entries of `show map FILE` in their order (management guide 9.3): `0x55d5… key value`, the value up to the end of
 * the line.
 *
 * @throws {SluiceError} ERR_HAPROXY_ANSWER for anything else
 */
export function parseMap(answer: string): readonly MapEntry[] {
  if (answer === "") return [];
  return answer.split("\n").map((line) => {
    const match = /^0x[0-9a-f]+ (\S+)(?: (.*))?$/.exec(line);
    if (match === null) throw unknownLayout("show map", JSON.stringify(line));
    return { key: match[1] ?? "", value: match[2] ?? "" };
  });
}

/** The master and its workers. */
export interface ProcessList {
  readonly master: {
    readonly pid: number;
    /** How often it was told to reload, successfully or not. */
    readonly reloads: number;
    /** Reloads that failed since the last one that did not. */
    readonly failed: number;
  };
  readonly workers: readonly number[];
  readonly oldWorkers: readonly number[];
}

/**
 * The answer of the master's `show proc` (management guide 9.4):
 *
 * ```text
 * #<PID>          <type>          <reloads>       <uptime>        <version>
 * 8555            master          1 [failed: 0]   0d00h00m01s     2.6.12-1+deb12u4
 * # workers
 * 8560            worker          0               0d00h00m00s     2.6.12-1+deb12u4
 * # old workers
 * 8558            worker          1               0d00h00m01s     2.6.12-1+deb12u4
 * # programs
 * ```
 *
 * After a failed reload the worker that serves stands under `# workers` up to 3.0 and under `# old workers` from 3.2 on.
 *
 * @throws {SluiceError} ERR_HAPROXY_ANSWER where there is no master in it
 */
export function parseProc(answer: string): ProcessList {
  let master: ProcessList["master"] | undefined;
  const workers: number[] = [];
  const oldWorkers: number[] = [];
  let section = "";
  for (const line of answer.split("\n")) {
    if (line.startsWith("# ")) {
      section = line.slice(2).trim();
      continue;
    }
    const match = /^([0-9]+)\s+(\S+)\s+([0-9]+)(?:\s+\[failed: ([0-9]+)\])?\s/.exec(line);
    if (match === null) continue;
    const pid = Number(match[1]);
    if (match[2] === "master") master = { pid, reloads: Number(match[3]), failed: Number(match[4] ?? 0) };
    else if (section === "workers") workers.push(pid);
    else if (section === "old workers") oldWorkers.push(pid);
  }
  if (master === undefined) throw unknownLayout("show proc", JSON.stringify(answer.slice(0, 200)));
  return { master, workers, oldWorkers };
}

function unknownLayout(command: string, what: string): SluiceError {
  return new SluiceError(
    "ERR_HAPROXY_ANSWER",
    `the answer to "${command}" is not what HAProxy 2.6 to 3.4 give: ${what}; is this version of HAProxy supported?`,
    { retryable: true },
  );
}
