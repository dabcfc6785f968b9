import { describe, expect, test } from "@jest/globals";
import { capabilitiesOf, parseVersion } from "../../../../src/haproxy/runtime/capabilities.ts";

const help = (...more: string[]) =>
  [
    "The following commands are valid at this level:",
    "  add map [@<ver>] <map> <key> <val> : add a map entry",
    ...more,
  ].join("\n");

describe("capabilities", () => {
  test.each([
    ["2.6.12-1+deb12u4", [2, 6, 12]],
    ["3.4-dev5-abc", [3, 4, 0]],
    ["10.20.30", [10, 20, 30]],
    ["unknown", undefined],
    ["", undefined],
  ])("version %j", (text, version) => {
    expect(parseVersion(text)).toEqual(version);
  });

  test("by the version and the commands there are", () => {
    expect(capabilitiesOf("2.6.12", help())).toMatchObject({
      wait: false,
      dynamicBackends: false,
      needsPoolKeywords: true,
    });
    expect(capabilitiesOf("3.0.11", help("  wait {-h|<delay_ms>} cond [args...] : wait"))).toMatchObject({
      wait: true,
      dynamicBackends: false,
      needsPoolKeywords: false,
    });
    expect(capabilitiesOf("3.4.0", help("  wait x : y", "  add backend <nb> : add"))).toEqual({
      versionText: "3.4.0",
      version: [3, 4, 0],
      wait: true,
      dynamicBackends: true,
      needsPoolKeywords: false,
    });
  });

  test.each(["2.5.9", "1.8.30"])("%s is too old", (version) => {
    expect(() => capabilitiesOf(version, help())).toThrow(expect.objectContaining({ code: "ERR_HAPROXY_TOO_OLD" }));
  });

  test("what is no version is no answer", () => {
    expect(() => capabilitiesOf("beta", help())).toThrow(expect.objectContaining({ code: "ERR_HAPROXY_ANSWER" }));
  });
});
