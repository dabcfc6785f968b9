import { describe, expect, test } from "@jest/globals";
import { mergeEndpoints } from "../../../../src/haproxy/config/merge.ts";
import { parseConfig } from "../../../../src/haproxy/config/parse.ts";
import { printConfig } from "../../../../src/haproxy/config/print.ts";

const merge = (structure: readonly string[], endpoints: readonly string[]) =>
  printConfig(mergeEndpoints(parseConfig(`${structure.join("\n")}\n`), parseConfig(`${endpoints.join("\n")}\n`)))
    .trimEnd()
    .split("\n");

describe("mergeEndpoints", () => {
  test("takes the servers of one and everything else of the other", () => {
    expect(
      merge(
        [
          "global",
          "backend a",
          " balance first",
          " server x 1.1.1.1:1",
          " server y 1.1.1.1:2",
          " # end",
          "",
          "backend b",
          " server z 1.1.1.1:3",
        ],
        ["backend a", " balance first", " server y 1.1.1.1:2 weight 5", " server z 1.1.1.1:4", "backend c"],
      ),
    ).toEqual([
      "global",
      "backend a",
      " balance first",
      " server y 1.1.1.1:2 weight 5",
      " server z 1.1.1.1:4",
      " # end",
      "",
      "backend b",
      " server z 1.1.1.1:3",
    ]);
  });

  test("new servers stand where they stand among the known ones", () => {
    expect(
      merge(
        ["backend a", " server b x:1", " # why d", " server d x:1", " option tcpka"],
        [
          "backend a",
          " server a x:1",
          " server b x:1",
          " server c x:1",
          " server d x:1",
          " server e x:1",
          " option tcpka",
        ],
      ),
    ).toEqual([
      "backend a",
      " server a x:1",
      " server b x:1",
      " server c x:1",
      " # why d",
      " server d x:1",
      " server e x:1",
      " option tcpka",
    ]);
  });

  test("where all servers are new they stand where the first one stood", () => {
    expect(
      merge(
        ["backend a", " server o x:1", " option tcpka", " server p x:1"],
        ["backend a", " server n x:1", " option tcpka"],
      ),
    ).toEqual(["backend a", " server n x:1", " option tcpka"]);
  });

  test("without servers before, new ones stand at the end, before blank lines and comments", () => {
    expect(merge(["backend a", " option tcpka", "", "# next", "backend b"], ["backend a", " server n x:1"])).toEqual([
      "backend a",
      " option tcpka",
      " server n x:1",
      "",
      "# next",
      "backend b",
    ]);
  });

  test("when the rest of the section differs, a known server changes only where its options are the same", () => {
    expect(
      merge(
        ["backend a", " option tcpka", " server a x:1 check", " server b x:1 check", " server gone x:1"],
        ["backend a", " bogus", " server a x:1 check weight 7", " server b x:1 chekc weight 7", " server n x:1 ssl"],
      ),
    ).toEqual([
      "backend a",
      " option tcpka",
      " server a x:1 check weight 7",
      " server b x:1 check",
      " server n x:1 ssl",
    ]);
  });

  test("a default-server in force is part of the options", () => {
    const structure = ["defaults", " default-server inter 1s", "backend a", " server a x:1 weight 1"];
    const endpoints = ["defaults", " default-server inter 2s", "backend a", " server a x:1 weight 2"];
    expect(merge(structure, endpoints)).toEqual(structure);
    expect(merge(structure, [...endpoints.with(1, " default-server inter 1s"), " option tcpka"])).toEqual(
      structure.with(3, " server a x:1 weight 2"),
    );
  });

  test("servers in an .if block are structure", () => {
    const structure = ["backend a", " .if 1", " server a x:1", " .endif"];
    expect(merge(structure, ["backend a", " .if 1", " server a x:2", " .endif"])).toEqual(structure);
  });

  test("sections without a change stay the same objects", () => {
    const structure = parseConfig("backend a\n server s x:1\nbackend b\n server s x:1\n");
    const endpoints = parseConfig("backend a\n server  s  x:1 weight 2\nbackend b\n server s x:1\n");
    const merged = mergeEndpoints(structure, endpoints);
    expect(merged.sections[0]).not.toBe(structure.sections[0]);
    expect(merged.sections[1]).toBe(structure.sections[1]);
  });
});
