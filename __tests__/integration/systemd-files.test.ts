import { spawnSync } from "node:child_process";
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { UnitFile } from "../support/unit-file.ts";

const units = fileURLToPath(new URL("../../docs/systemd/", import.meta.url));
const haproxyUnit = new UnitFile([path.join(units, "haproxy.service.d/sluice.conf")]);
const sluiceUnit = new UnitFile([path.join(units, "sluice.service")]);
/** Debian's. */
const distributionUnit = "/lib/systemd/system/haproxy.service";

describe("the unit files", () => {
  test("are what systemd understands", () => {
    const directory = mkdtempSync(path.join(tmpdir(), "sluice-units-"));
    try {
      cpSync(units, directory, { recursive: true });
      cpSync(distributionUnit, path.join(directory, "haproxy.service"));
      expect(complaints(directory)).toEqual([]);
      appendFileSync(path.join(directory, "sluice.service"), "Mistake=1\n");
      appendFileSync(path.join(directory, "haproxy.service.d", "sluice.conf"), "Mistake=2\n");
      expect(complaints(directory)).toEqual([
        expect.stringMatching(/sluice\.service:\d+: Unknown key .*Mistake/),
        expect.stringMatching(/haproxy\.service\.d\/sluice\.conf:\d+: Unknown key .*Mistake/),
      ]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("are where the page installs them, and the page names them all", () => {
    const page = readFileSync(path.join(units, "../systemd.md"), "utf8");
    const installed = [...page.matchAll(/^install .*?docs\/systemd\/(\S+) (\S+)$/gm)].map(([, file, to]) => [file, to]);
    expect(installed).toHaveLength(4);
    for (const [file = "", to = ""] of installed) {
      expect(readFileSync(path.join(units, file), "utf8").split("\n")[0]).toMatch(
        new RegExp(`^# ${to.replaceAll(".", "\\.")}: `),
      );
      expect(page).toContain(`](systemd/${file})`);
    }
  });

  test("are independent: a start of the operator does not start a HAProxy that was stopped", () => {
    const starts = ["Wants", "Requires", "Requisite", "BindsTo", "PartOf", "Upholds", "PropagatesStopTo"];
    const named = starts.flatMap((key) => [...sluiceUnit.all(`Unit.${key}`), ...haproxyUnit.all(`Unit.${key}`)]);
    expect(named.filter((value) => /haproxy|sluice/.test(value))).toEqual([]);
  });

  test("share the user, the state directory and what they are confined to", () => {
    const confinement = [
      "NoNewPrivileges",
      "ProtectSystem",
      "ProtectHome",
      "RestrictAddressFamilies",
      "SystemCallFilter",
    ];
    for (const key of ["User", "Group", "UMask", "StateDirectory", "StateDirectoryMode", "Restart", ...confinement]) {
      expect(haproxyUnit.one(`Service.${key}`)).toBe(sluiceUnit.one(`Service.${key}`));
    }
    // Said to be none: where nothing is said, all are there.
    expect(sluiceUnit.sets("Service.CapabilityBoundingSet")).toBe(true);
    expect(sluiceUnit.all("Service.CapabilityBoundingSet")).toEqual([]);
    expect(sluiceUnit.all("Service.AmbientCapabilities")).toEqual([]);
  });
});

/** What systemd says of the files of a directory, each thing once. Not of programs that are elsewhere on this machine. */
function complaints(directory: string): readonly string[] {
  const said = ["sluice.service", "haproxy.service"].flatMap((unit) => {
    const { stderr, error } = spawnSync("systemd-analyze", ["verify", "--man=no", path.join(directory, unit)], {
      encoding: "utf8",
    });
    if (error !== undefined) throw error;
    return stderr.split("\n").filter((line) => line.startsWith(`${directory}/`));
  });
  return [...new Set(said)];
}
