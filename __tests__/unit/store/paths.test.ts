import path from "node:path";
import { describe, expect, test } from "@jest/globals";
import { pathBelow, statePaths } from "../../../src/store/paths.ts";

describe("paths of the state directory", () => {
  test("are absolute and below it", () => {
    const paths = statePaths("state");
    expect(paths.directory).toBe(path.resolve("state"));
    for (const one of Object.values(paths)) expect(one.startsWith(path.resolve("state"))).toBe(true);
    expect(statePaths("/s/").config).toBe("/s/haproxy.cfg");
    expect(new Set(Object.values(paths)).size).toBe(Object.keys(paths).length);
  });

  test("leave HAProxy the room it needs for a socket's temporary name", () => {
    const longest = `/${"d".repeat(97 - "/sockets/runtime.sock".length - 1)}`;
    expect(Buffer.byteLength(statePaths(longest).runtimeSocket)).toBe(97);
    expect(() => statePaths(`${longest}d`)).toThrow(
      expect.objectContaining({
        code: "ERR_STATE_UNUSABLE",
        message: expect.stringContaining(
          `1 bytes too long for Unix sockets: ${longest}d; choose a haproxy.directory of at most 76 bytes`,
        ),
      }),
    );
    expect(() => statePaths(`/${"ä".repeat(40)}`)).toThrow("too long");
  });
});

describe("a path below a directory", () => {
  test.each([
    ["/s/maps/hosts.map", "/s/maps/hosts.map"],
    ["hosts.map", "/s/maps/hosts.map"],
    ["a/b.map", "/s/maps/a/b.map"],
    ["/s/maps/a/../b.map", "/s/maps/b.map"],
  ])("%s is %s", (given, full) => {
    expect(pathBelow("/s/maps", given)).toBe(full);
  });

  test.each([
    "../haproxy.cfg",
    "/s/haproxy.cfg",
    "/etc/passwd",
    "/s/maps",
    "",
    ".",
    "/s/maps-other/x",
    "a/../../x",
    ".hidden",
    "a/.b/c",
    "a\0b",
  ])("%j is none", (given) => {
    expect(() => pathBelow("/s/maps", given)).toThrow(expect.objectContaining({ code: "ERR_VALUE_UNSAFE" }));
  });
});
