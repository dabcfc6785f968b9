import { expect, test } from "@jest/globals";
import { parseConfig } from "../../../../src/haproxy/config/parse.ts";
import { lineAt } from "../../../../src/haproxy/config/position.ts";

const config = parseConfig("# top\nglobal\n  maxconn 1\nbackend b\n  server s x:1\n  # c\nlisten l\n  server t x:1\n");

test.each([
  [1, undefined],
  [2, { kind: "global" }],
  [3, { kind: "global" }],
  [4, { kind: "backend", name: "b" }],
  [5, { kind: "backend", name: "b", server: "s" }],
  [6, { kind: "backend", name: "b" }],
  [7, { kind: "listen", name: "l" }],
  [8, { kind: "listen", name: "l", server: "t" }],
  [9, undefined],
  [0, undefined],
])("line %d", (lineNumber, position) => {
  expect(lineAt(config, lineNumber)).toEqual(position);
});
