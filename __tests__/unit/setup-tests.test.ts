import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { type SetupMachine, setupMachine } from "../support/setup-machine.ts";

jest.setTimeout(60_000);

const script = "setup-tests.sh";
/** What is told apart from systemd-analyze: it may be on this machine, or not. */
const others = { SLUICE_POSTGRES: "/nowhere", SLUICE_CHROMIUM: "/nowhere" };

let machine: SetupMachine;

beforeEach(() => {
  machine = setupMachine([script, "setup-parts.sh"]);
  machine.program("id", "echo 0");
});

afterEach(() => machine.remove());

describe("what only the tests need", () => {
  test("is installed where it is missing, and not again", () => {
    const { bin, directory } = machine;
    machine.program(
      "apt-get",
      `echo "apt-get $*" >>"${directory}/calls"
      case "$*" in *" systemd") cp "${bin}/cat" "${bin}/systemd-analyze" ;; esac`,
    );
    expect(machine.run(script, "", others)).toMatchObject({ status: 0, stdout: "" });
    expect(machine.calls()).toEqual(["apt-get update", expect.stringMatching(/^apt-get install -y .* systemd$/)]);
    expect(machine.run(script, "", others)).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(machine.calls()).toHaveLength(2);
  });

  test("that cannot be had is said, and is no failure", () => {
    machine.program("apt-get", "echo no network; exit 100");
    const { status, stderr } = machine.run(script, "", others);
    expect(status).toBe(0);
    expect(stderr).toContain(
      "systemd-analyze is needed by the test of the unit files. Install it: apt-get install -y systemd",
    );
  });

  test("is said where packages may not be installed", () => {
    machine.program("id", "echo 1000");
    machine.program("apt-get", "exit 1");
    const { status, stderr } = machine.run(script, "", others);
    expect(status).toBe(0);
    expect(stderr).toContain("Install it: sudo apt-get install -y systemd");
  });
});
