import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { type SetupMachine, setupMachine } from "../support/setup-machine.ts";

// Each test runs dozens of small programs, on a machine that may be busy.
jest.setTimeout(60_000);

let machine: SetupMachine;

beforeEach(() => {
  machine = setupMachine(["setup-engine.sh", "setup-images.sh", "setup-parts.sh"]);
});

afterEach(() => machine.remove());

describe("docker/setup-engine.sh", () => {
  const setup = (env?: Readonly<Record<string, string>>) => machine.run("setup-engine.sh", "", env);
  const own = ["docker", "dockerd", "iptables", "ip", "setpriv", "debootstrap"];

  test("an engine that answers, and Compose as a plugin: nothing is done, also for who is not root", () => {
    machine.program("id", "echo 1000");
    machine.program("docker", ":");
    machine.program("apt-get", `echo "apt-get $*" >>"${machine.directory}/calls"`);
    expect(setup()).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(existsSync(join(machine.directory, "calls"))).toBe(false);
  });

  test("an engine that answers without Compose: Compose is asked for", () => {
    machine.program("id", "echo 1000");
    machine.program("docker", "[ $1 = version ]");
    machine.program("apt-get");
    const { status, stderr } = setup();
    expect(status).toBe(1);
    expect(stderr).toContain(
      "Compose is needed by the end-to-end tests. Install it: sudo apt-get install -y docker-compose",
    );
  });

  test("no engine, and not root: says where it looked, and what to do", () => {
    machine.program("id", "echo 1000");
    machine.program("dnf");
    const { status, stderr } = setup({ DOCKER_HOST: "unix:///nowhere" });
    expect(status).toBe(1);
    expect(stderr).toContain("no Docker engine answers at unix:///nowhere, and only root can start one");
    expect(stderr).toContain("sudo dnf install -y docker.io docker-compose");
  });

  test("no engine, as root: Debian's packages are installed, of which none may start a daemon", () => {
    machine.program("id", "echo 0");
    const makes = [...own, "docker-compose"].map(
      // No engine answers even then: the tests start their own.
      (name) =>
        `printf '#!/bin/sh\\n[ "$1" != version ] || [ ${name} != docker ]\\n' >"${machine.bin}/${name}"; chmod 755 "${machine.bin}/${name}"`,
    );
    const notes = `[ -x "$SETUP_POLICY_PATH" ] && echo "$*" >>"${machine.directory}/calls"`;
    machine.program("apt-get", `${notes}; if [ "$1" = install ]; then ${makes.join("; ")}; fi`);
    const { status, stderr } = setup();
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(machine.calls()).toEqual([
      "update",
      expect.stringMatching(
        /^install -y --no-install-recommends .* docker\.io docker-compose iptables iproute2 debootstrap /,
      ),
    ]);
    expect(existsSync(join(machine.directory, "policy-rc.d"))).toBe(false);
    // The next time all is there.
    expect(setup()).toMatchObject({ status: 0 });
    expect(machine.calls()).toHaveLength(2);
  });

  test("an installation that brings nothing: what is lacking is named", () => {
    machine.program("id", "echo 0");
    machine.program("apt-get", ":");
    for (const name of own.filter((one) => one !== "dockerd" && one !== "ip")) machine.program(name, "exit 1");
    const { status, stderr } = setup();
    expect(status).toBe(1);
    expect(stderr).toMatch(/no Docker engine answers, and to start one there is no dockerd ip\s*\./);
  });
});

describe("docker/setup-images.sh", () => {
  const setup = (env?: Readonly<Record<string, string>>) => machine.run("setup-images.sh", "", env);
  /** Docker with certain images, that can pull others. */
  const engine = (images: readonly string[], pulls: readonly string[]) =>
    machine.program(
      "docker",
      `echo "$*" >>"${machine.directory}/calls"
      case "$1 $2 $3" in
        ${[...images.map((image) => `"image inspect ${image}"`), ...pulls.map((image) => `"pull --quiet ${image}"`), '"run --rm --network"', "import*"].join(" | ")}) exit 0 ;;
      esac
      exit 1`,
    );

  beforeEach(() => machine.program("timeout", `shift; "$@"`));

  test("images that are there stay; what is missing is pulled", () => {
    engine(["debian:trixie-slim"], ["hashicorp/consul:1.19"]);
    expect(setup()).toMatchObject({ status: 0, stderr: "" });
    expect(machine.calls()).toEqual([
      "image inspect debian:trixie-slim",
      "image inspect hashicorp/consul:1.19",
      "pull --quiet hashicorp/consul:1.19",
    ]);
  });

  test("where nothing can be pulled stand-ins are made, the root from the file that is kept, with the machine's authorities", () => {
    engine([], []);
    for (const name of ["tar", "gzip", "chmod"])
      machine.program(name, `echo "${name} $*" >>"${machine.directory}/calls"`);
    machine.program("consul");
    mkdirSync(machine.cache, { recursive: true });
    writeFileSync(join(machine.cache, "debian-trixie.tar.gz"), "");
    const authorities = join(machine.directory, "authorities");
    mkdirSync(authorities);
    writeFileSync(join(authorities, "own.crt"), "");
    machine.program("cp", `echo "cp $*" >>"${machine.directory}/calls"`);
    const { status, stderr } = setup({ SETUP_AUTHORITIES: authorities });
    expect({ status, stderr }).toMatchObject({ status: 0 });
    const calls = machine.calls().join("\n");
    expect(calls).toMatch(/^cp \S+authorities\/own\.crt \S+\/usr\/local\/share\/ca-certificates\/$/m);
    expect(calls).toMatch(/^import .* debian:trixie-slim$/m);
    expect(calls).toMatch(/^import .* hashicorp\/consul:1\.19$/m);
    expect(calls).toMatch(/^run --rm --network none hashicorp\/consul:1\.19 version$/m);
  });

  test("without debootstrap it says what to install", () => {
    engine([], []);
    const { status, stderr } = setup();
    expect(status).toBe(1);
    expect(stderr).toMatch(/debootstrap is needed to make debian:trixie-slim\. Install it: /);
    expect(stderr).toContain("debian:trixie-slim could neither be pulled nor made");
  });
});
