import { describe, expect, test } from "@jest/globals";
import { nearest } from "../../../src/settings/nearest.ts";

const known = ["address", "token", "tokenFile", "drainTimeout", "onStop"];

describe("the name most likely meant", () => {
  test.each([
    ["adress", "address"],
    ["addresss", "address"],
    ["adderss", "address"],
    ["Token", "token"],
    ["token_file", "tokenFile"],
    ["drain-timeout", "drainTimeout"],
    ["drainTimout", "drainTimeout"],
    ["on_stop", "onStop"],
  ])("%s is %s", (mistyped, meant) => {
    expect(nearest(mistyped, known)).toBe(meant);
  });

  test("is none where nothing is alike", () => {
    expect(nearest("colour", known)).toBeUndefined();
    expect(nearest("x", known)).toBeUndefined();
    expect(nearest("address", [])).toBeUndefined();
  });

  test("counts a swap of neighbours as one mistake", () => {
    expect(nearest("bnid", ["bind"])).toBe("bind");
    expect(nearest("idbn", ["bind"])).toBeUndefined();
  });
});
