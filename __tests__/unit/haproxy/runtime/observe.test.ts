import { describe, expect, test } from "@jest/globals";
import {
  parseBackends,
  parseEnv,
  parseInfo,
  parseMap,
  parseProc,
  parseServersState,
} from "../../../../src/haproxy/runtime/observe.ts";

const refusal = expect.objectContaining({ code: "ERR_HAPROXY_ANSWER" });

describe("show servers state", () => {
  const header =
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port";
  const state = (...rows: string[]) => ["1", header, ...rows].join("\n");

  test("rows of 2.6.12", () => {
    const answer = state(
      "3 b 1 s1 127.0.0.1 0 0 3 1 1 8 2 0 6 0 0 0 - 18090 - 0 0 - - 0",
      "3 b 2 s2 127.0.0.1 0 5 5 5 1 1 0 0 8 0 0 0 - 18091 - 0 0 - - 0",
      "3 b 3 s3 0:0::1 2 8 5 5 1 1 3 2 0 0 0 0 - 18091 - 0 0 - - 0",
      "4 c 1 s4 - 2 0 256 1 1 1 4 2 0 0 0 0 - 0 - 0 0 - - 0",
      "4 c 2 s5 10.0.0.1 1 4 0 1 1 1 1 2 0 0 0 0 - 80 - 0 0 - - 0",
      "4 c 3 s6 10.0.0.1 2 2 0 1 1 1 1 2 0 0 0 0 - 80 - 0 0 - - 0",
    );
    expect(parseServersState(answer)).toEqual([
      {
        backend: "b",
        name: "s1",
        address: "127.0.0.1",
        port: 18090,
        weight: 3,
        maintenance: false,
        drain: false,
        operational: 0,
        check: "failed",
      },
      {
        backend: "b",
        name: "s2",
        address: "127.0.0.1",
        port: 18091,
        weight: 5,
        maintenance: true,
        drain: false,
        operational: 0,
        check: "none",
      },
      {
        backend: "b",
        name: "s3",
        address: "::1",
        port: 18091,
        weight: 5,
        maintenance: false,
        drain: true,
        operational: 2,
        check: "passed",
      },
      {
        backend: "c",
        name: "s4",
        address: "-",
        port: 0,
        weight: 256,
        maintenance: false,
        drain: false,
        operational: 2,
        check: "passed",
      },
      {
        backend: "c",
        name: "s5",
        address: "10.0.0.1",
        port: 80,
        weight: 0,
        maintenance: false,
        drain: false,
        operational: 1,
        check: "none",
      },
      {
        backend: "c",
        name: "s6",
        address: "10.0.0.1",
        port: 80,
        weight: 0,
        maintenance: false,
        drain: false,
        operational: 2,
        check: "none",
      },
    ]);
    expect(parseServersState(state())).toEqual([]);
  });

  test("columns are found by name, whatever their order and number", () => {
    const answer = [
      "1",
      "# new srv_port srv_name be_name srv_addr srv_check_result srv_uweight srv_admin_state srv_op_state newer",
      "x 80 s b 10.0.0.1 3 7 0 2 y",
    ].join("\n");
    expect(parseServersState(answer)).toMatchObject([
      { backend: "b", name: "s", port: 80, weight: 7, check: "passed" },
    ]);
  });

  test.each([
    ["another layout version", `2\n${header}`],
    ["no version", header],
    ["a column is missing", "1\n# be_name srv_name srv_addr"],
    ["a short row", state("3 b 1 s1 127.0.0.1 0 0 3")],
    ["a word where a number belongs", state("3 b 1 s1 127.0.0.1 up 0 3 1 1 8 2 0 6 0 0 0 - 18090 - 0 0 - - 0")],
    ["a refusal", "Permission denied"],
    ["nothing", ""],
  ])("%s is an error, not a guess", (_what, answer) => {
    expect(() => parseServersState(answer)).toThrow(refusal);
  });
});

test("show info", () => {
  const answer =
    "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nPid: 30449\nUptime: 0d 0h00m01s\nUptime_sec: 1\nStopping: 0\nnode: a: b";
  expect(parseInfo(answer)).toEqual({ pid: 30449, versionText: "2.6.12-1+deb12u4", stopping: false, uptimeSeconds: 1 });
  expect(parseInfo(answer.replace("Stopping: 0", "Stopping: 1")).stopping).toBe(true);
  for (const line of ["Pid: 30449\n", "Version: 2.6.12-1+deb12u4\n", "Stopping: 0\n"]) {
    expect(() => parseInfo(answer.replace(line, ""))).toThrow(refusal);
  }
  expect(() => parseInfo(answer.replace("30449", "many"))).toThrow(refusal);
});

test("show env", () => {
  expect(parseEnv("SLUICE_STRUCTURE=a=b", "SLUICE_STRUCTURE")).toBe("a=b");
  expect(parseEnv("SLUICE_STRUCTURE=", "SLUICE_STRUCTURE")).toBe("");
  expect(parseEnv("Variable not found", "SLUICE_STRUCTURE")).toBeUndefined();
  expect(() => parseEnv("Permission denied", "SLUICE_STRUCTURE")).toThrow(refusal);
});

test("show map", () => {
  expect(parseMap("0x7f9048047b70 /x b c  d\n0x7f9048047c70 /y \n0x7f9048047c71 /z")).toEqual([
    { key: "/x", value: "b c  d" },
    { key: "/y", value: "" },
    { key: "/z", value: "" },
  ]);
  expect(parseMap("")).toEqual([]);
  expect(() => parseMap("something else")).toThrow(refusal);
});

describe("show proc", () => {
  const head = "#<PID>          <type>          <reloads>       <uptime>        <version>      ";
  const master = "30446           master          2 [failed: 1]   0d00h00m00s     2.6.12-1+deb12u4";
  const worker = (pid: number) => `${pid}           worker          1               0d00h00m00s     2.6.12-1+deb12u4`;

  test("2.6 with old workers", () => {
    expect(
      parseProc(
        [head, master, "# workers", worker(7), "# old workers", worker(5), worker(6), "# programs", ""].join("\n"),
      ),
    ).toEqual({
      master: { pid: 30446, reloads: 2, failed: 1 },
      workers: [7],
      oldWorkers: [5, 6],
    });
  });

  test("3.2 after a failed reload, and programs are no workers", () => {
    const program = "9               prog            0               0d00h00m00s     -";
    expect(
      parseProc([head, master, "# workers", "# old workers", worker(5), "# programs", program].join("\n")),
    ).toMatchObject({
      workers: [],
      oldWorkers: [5],
    });
  });

  test("without a master it is something else", () => {
    expect(() => parseProc("Unknown command")).toThrow(refusal);
    expect(() => parseProc("")).toThrow(refusal);
  });
});

test("the backends of a process", () => {
  expect(parseBackends("# name\nweb\napi")).toEqual(new Set(["web", "api"]));
  expect(parseBackends("# name")).toEqual(new Set());
  expect(parseBackends("Unknown command: 'show backend'")).toBeUndefined();
});
