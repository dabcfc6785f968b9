// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Fabio's tags have such placeholders
import { expect, test } from "@jest/globals";
import { expand } from "../../../../src/routing/fabio/expand.ts";

test.each([
  ["$x/$y", {}, "/"],
  ["${x}/${y}", {}, "/"],
  ["$x/$Y", { x: "Xx", Y: "Yy" }, "Xx/Yy"],
  ["${x}/${Y}", { x: "Xx", Y: "Yy" }, "Xx/Yy"],
  ["svc.$DC.example.com", { DC: "dc1" }, "svc.dc1.example.com"],
  ["svc-${DC}x", { DC: "dc1" }, "svc-dc1x"],
  ["$DCx", { DC: "dc1" }, ""],
  ["$DC_$DC", { DC: "dc1" }, "dc1"],
  ["a$", {}, "a$"],
  ["a$.b$-", { "-": "no" }, "a$.bno"],
  ["a$$b", {}, "ab"],
  ["a$1b", {}, "ab"],
  ["a${}b", {}, "ab"],
  ["a${b", {}, "ab"],
  ["a${*}b", {}, "ab"],
  ["$toString$__proto__", {}, ""],
  ["plain", {}, "plain"],
])("%s", (text, values, expanded) => {
  expect(expand(text, values)).toBe(expanded);
});
