import { describe, expect, test } from "@jest/globals";
import { commandText } from "../../../../src/haproxy/runtime/command-text.ts";
import { addMapCommands } from "../../../../src/haproxy/runtime/map-commands.ts";

const entry = (key: string, value: string) => ({ key, value });

describe("filling a map", () => {
  test("entries in payloads, values as they are, an empty one behind its space", () => {
    const entries = [entry("/a", 'b strip="/x y";z\\'), entry("/b", ""), entry("#c", "d")];
    expect(addMapCommands("/m", "3", entries)).toEqual([
      { line: "add map @3 /m", payload: ['/a b strip="/x y";z\\', "/b ", "#c d"] },
    ]);
    expect(addMapCommands("/m", "3", [])).toEqual([]);
  });

  test("chunks hold at most 400 lines and 8 kB, and together all entries in order", () => {
    for (const width of [1, 100, 3_000]) {
      const entries = Array.from({ length: 1_000 }, (_, index) => entry(`/${index}`, "é".repeat(width)));
      const commands = addMapCommands("/m", "1", entries);
      if (typeof commands === "string") throw new Error(commands);
      for (const command of commands) {
        expect(command.payload?.length).toBeLessThanOrEqual(400);
        expect(Buffer.byteLength(commandText(command))).toBeLessThanOrEqual(8_192);
      }
      expect(commands.flatMap(({ payload }) => payload)).toEqual(entries.map(({ key, value }) => `${key} ${value}`));
    }
  });

  test.each([
    [entry("", "v"), "key"],
    [entry("a b", "v"), "key"],
    [entry("a\nb", "v"), "key"],
    [entry("a", "v\nx y"), "value"],
    [entry("a", "v\r"), "value"],
    [entry("a", "v".repeat(9_000)), "bytes"],
  ])("%j cannot be carried", (bad, why) => {
    expect(addMapCommands("/m", "1", [entry("/fine", "b"), bad])).toEqual(expect.stringContaining(why));
  });
});
