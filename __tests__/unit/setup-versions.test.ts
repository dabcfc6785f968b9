import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { alive, type SetupMachine, setupMachine } from "../support/setup-machine.ts";

jest.setTimeout(60_000);

const script = "setup-versions.sh";
/** The version a release of this Debian has. */
const versions = { bookworm: "2.6.12", trixie: "3.0.11", sid: "3.2.26" };

/** A machine with HAProxy 2.6 and stand-ins for Debian's tools. */
let machine: SetupMachine;
let own: string;

beforeEach(() => {
  machine = setupMachine([script, "setup-parts.sh"]);
  const { bin, cache, directory, program } = machine;
  own = join(bin, "haproxy");
  program("haproxy", "echo 'HAProxy version 2.6.12-1 2023/12/16'");
  mkdirSync(cache, { recursive: true });
  writeFileSync(join(cache, "env"), `SLUICE_HAPROXY='${own}'\nSLUICE_CONSUL='/nowhere'\n`);
  for (const [release, version] of Object.entries(versions)) {
    writeFileSync(join(directory, release), version);
  }
  // A package is a file that names its release.
  program(
    "debootstrap",
    // Its last three words: release, directory, mirror.
    `echo "debootstrap $*" >>"${directory}/calls"
    while [ $# -gt 3 ]; do shift; done
    mkdir -p "$2/var/cache/apt/archives" && echo "$1" >"$2/var/cache/apt/archives/haproxy.deb"`,
  );
  program(
    "dpkg-deb",
    `mkdir -p "$3/usr/sbin" "$3/usr/lib/x86_64-linux-gnu"
    : >"$3/usr/lib/x86_64-linux-gnu/ld-linux.so.2"
    printf '#!/bin/sh\\necho HAProxy version %s-1\\n' "$(cat "${directory}/$(cat "$2")")" >"$3/usr/sbin/haproxy"
    chmod 755 "$3/usr/sbin/haproxy"`,
  );
  program(
    "patchelf",
    `if [ "$1" = --print-interpreter ]; then echo /lib64/ld-linux.so.2; else echo "patchelf $*" >>"${directory}/calls"; fi`,
  );
  program("gpgv");
});

afterEach(() => machine.remove());

describe("every version is named, the oldest first", () => {
  test("this machine's own as it is, others out of a root each, once", () => {
    const { cache } = machine;
    const { status, stdout } = machine.run(script);
    const lines = `2.6 ${own}\n3.0 ${cache}/bin/haproxy-trixie\n3.2 ${cache}/bin/haproxy-sid\n`;
    expect({ status, stdout }).toEqual({ status: 0, stdout: lines });
    const libraries = `${cache}/roots/trixie/usr/lib/x86_64-linux-gnu`;
    expect(machine.calls()).toEqual([
      expect.stringMatching(
        /^debootstrap .*--force-check-gpg .*--include=haproxy trixie \S+ http:\/\/deb\.debian\.org/,
      ),
      expect.stringContaining(
        `patchelf --set-interpreter ${libraries}/ld-linux.so.2 --force-rpath --set-rpath ${libraries}:`,
      ),
      expect.stringMatching(/^debootstrap .*--include=haproxy sid /),
      expect.stringContaining("/roots/sid/usr/lib/x86_64-linux-gnu"),
    ]);
    expect(readdirSync(cache).sort()).toEqual(["bin", "env", "roots"]);
    expect(existsSync(join(cache, "roots", "sid", "var", "cache", "apt", "archives"))).toBe(false);

    expect(machine.run(script)).toEqual({ status: 0, stdout: lines, stderr: "" });
    expect(machine.calls()).toHaveLength(4);
  });

  test("another machine's own is another version", () => {
    machine.program("haproxy", "echo 'HAProxy version 3.0.11-1'");
    const { cache } = machine;
    expect(machine.run(script).stdout).toBe(
      `2.6 ${cache}/bin/haproxy-bookworm\n3.0 ${own}\n3.2 ${cache}/bin/haproxy-sid\n`,
    );
  });

  test("one that is named is taken, and must be what it is named for", () => {
    const other = join(machine.bin, "other");
    machine.program("other", "echo 'HAProxy version 3.2.0'");
    expect(machine.run(script, "", { SETUP_HAPROXY_3_2: other }).stdout).toContain(`3.2 ${other}\n`);
    const { status, stdout, stderr } = machine.run(script, "", { SETUP_HAPROXY_3_0: other });
    expect(status).toBe(1);
    expect(stderr).toContain(`${other} is not HAProxy 3.0; correct SETUP_HAPROXY_3_0`);
    expect(stdout).not.toContain("3.0 ");
  });

  test("a release that has moved on is told, and goes by what it has", () => {
    writeFileSync(join(machine.directory, "sid"), "3.4.1");
    const { status, stdout, stderr } = machine.run(script);
    expect(status).toBe(0);
    expect(stdout).toContain(`3.4 ${machine.cache}/bin/haproxy-sid\n`);
    expect(stderr).toContain("Debian sid has HAProxy 3.4 now, not 3.2");
  });
});

test("a stand-in takes the place of a program on this machine's PATH, never of the program itself", () => {
  const real = join(machine.directory, "real");
  writeFileSync(real, "real");
  symlinkSync(real, join(machine.bin, "tool"));
  machine.program("tool", "echo stand-in");
  expect(readFileSync(real, "utf8")).toBe("real");
  expect(readFileSync(join(machine.bin, "tool"), "utf8")).toContain("stand-in");
});

describe("what cannot be had", () => {
  test("no tools and no root: what to install is said, and the own version is named all the same", () => {
    // A user who is nobody in particular, on Debian.
    machine.program("id", "echo 1000");
    machine.program("apt-get", "exit 1");
    const { status, stdout, stderr } = withoutTools();
    expect({ status, stdout }).toEqual({ status: 1, stdout: `2.6 ${own}\n` });
    expect(stderr).toContain(
      "debootstrap and patchelf are needed to get HAProxy 3.0 from Debian. Install them: sudo apt-get install -y debootstrap patchelf",
    );
    expect(stderr).toContain("name its binary in SETUP_HAPROXY_3_2");
  });

  test("root on Debian installs the tools, and no daemon starts meanwhile", () => {
    const { directory, program } = machine;
    const policy = join(directory, "policy-rc.d");
    program("id", "echo 0");
    program("apt-get", `echo "apt-get $* $(cat "${policy}" | tail -n 1)" >>"${directory}/calls"; exit 100`);
    const { status, stderr } = withoutTools();
    expect(status).toBe(1);
    expect(stderr).toContain("exit code 100");
    expect(machine.calls()).toContain("apt-get update exit 101");
    expect(existsSync(policy)).toBe(false);
  });

  test("a fetch that fails is shown, leaves nothing, and does not keep the other version away", () => {
    renameSync(join(machine.bin, "debootstrap"), join(machine.bin, "debootstrap-good"));
    machine.program(
      "debootstrap",
      `case "$*" in *" sid "*) exec debootstrap-good "$@" ;; esac; echo E: no such host; exit 3`,
    );
    const { status, stdout, stderr } = machine.run(script);
    const { cache } = machine;
    expect({ status, stdout }).toEqual({ status: 1, stdout: `2.6 ${own}\n3.2 ${cache}/bin/haproxy-sid\n` });
    expect(stderr).toContain("| E: no such host");
    expect(stderr).toContain("HAProxy 3.0 could not be had");
    expect(readdirSync(join(cache, "roots"))).toEqual(["sid"]);
    expect(readdirSync(cache).sort()).toEqual(["bin", "env", "roots"]);
  });

  test("a binary that does not run any more is made again", () => {
    const { cache, program } = machine;
    mkdirSync(join(cache, "bin"), { recursive: true });
    program("haproxy-trixie", "exit 127", join(cache, "bin"));
    expect(machine.run(script).stdout).toContain(`3.0 ${cache}/bin/haproxy-trixie\n`);
  });

  test("no set-up before it", () => {
    writeFileSync(join(machine.cache, "env"), "");
    const { status, stderr } = machine.run(script);
    expect(status).toBe(1);
    expect(stderr).toContain("docker/setup.sh");
  });

  test("interrupted, it ends what it runs, with all below that, and leaves nothing", async () => {
    const pidFile = join(machine.directory, "pid");
    machine.program("debootstrap", `sleep 600 & echo $! >"${pidFile}"; wait`);
    const child = spawn("sh", [join(machine.tree, "docker", script)], { env: machine.environment(), stdio: "ignore" });
    const ended = once(child, "exit");
    try {
      await until(() => existsSync(pidFile) && readFileSync(pidFile, "utf8") !== "");
      const below = Number(readFileSync(pidFile, "utf8"));
      expect(alive(below)).toBe(true);
      child.kill("SIGTERM");
      expect((await ended)[0]).toBe(143);
      await until(() => !alive(below));
      expect(readdirSync(machine.cache).sort()).toEqual(["bin", "env", "roots"]);
      expect(readdirSync(join(machine.cache, "roots"))).toEqual([]);
    } finally {
      child.kill("SIGTERM");
    }
  });
});

/** With Debian's tools gone from PATH. */
function withoutTools() {
  for (const name of ["debootstrap", "patchelf"]) rmSync(join(machine.bin, name));
  return machine.run(script);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}
