import { describe, expect, test } from "@jest/globals";
import { addAsset, addMap, noFiles } from "../../../src/render/files.ts";
import { templateFromSources } from "../../../src/render/template-source.ts";
import { hexDigest } from "../../../src/support/digest.ts";

const paths = { maps: "/s/maps", assets: "/s/assets" };
const unsafe = expect.objectContaining({ code: "ERR_VALUE_UNSAFE" });
const misused = expect.objectContaining({ code: "ERR_TEMPLATE_FAILED" });

describe("mapFile", () => {
  test("writes a line per row, in the order of the rows", () => {
    const rows = [
      { host: "b.x", to: "web one" },
      { host: "a.x", to: 3 },
    ];
    const files = noFiles();
    expect(addMap(files, paths, "hosts.map", rows, "host", "to")).toBe("/s/maps/hosts.map");
    expect(files.maps.get("/s/maps/hosts.map")).toBe("b.x web one\na.x 3\n");
  });

  test("rows that cannot change are made a text of once for a name and its fields", () => {
    let read = 0;
    const row = {
      get k() {
        read += 1;
        return "a";
      },
      v: "1",
      w: "2",
    };
    const rows = Object.freeze([row]);
    const text = (name: string, value: string) => {
      const files = noFiles();
      const path = addMap(files, paths, name, rows, "k", value);
      return files.maps.get(path);
    };
    expect([text("m", "v"), text("m", "v"), text("m", "v")]).toEqual(["a 1\n", "a 1\n", "a 1\n"]);
    expect(read).toBe(1);
    expect([text("m", "w"), text("n", "v"), text("m", "v")]).toEqual(["a 2\n", "a 1\n", "a 1\n"]);
  });

  test("is an empty file without rows", () => {
    const files = noFiles();
    addMap(files, paths, "hosts.map", [], "host", "to");
    expect(files.maps.get("/s/maps/hosts.map")).toBe("");
  });

  test("may be called again with the same rows only", () => {
    const files = noFiles();
    addMap(files, paths, "m", [{ k: "a", v: "1" }], "k", "v");
    expect(addMap(files, paths, "m", [{ k: "a", v: "1" }], "k", "v")).toBe("/s/maps/m");
    expect(() => addMap(files, paths, "m", [{ k: "a", v: "2" }], "k", "v")).toThrow(misused);
  });

  test.each(["", "a b", "a\tb", "a\nb", "a\0b", "#a", "a\u00a0b", "a\x7f"])("refuses the key %j", (key) => {
    expect(() => addMap(noFiles(), paths, "m", [{ k: key, v: "x" }], "k", "v")).toThrow(unsafe);
  });

  test.each(["", " a", "a ", "a\nb x", "a\0", "a\tb"])("refuses the value %j", (value) => {
    expect(() => addMap(noFiles(), paths, "m", [{ k: "a", v: value }], "k", "v")).toThrow(unsafe);
  });

  test("refuses one key twice, and a row without the field", () => {
    const twice = [
      { k: "a", v: "1" },
      { k: "a", v: "2" },
    ];
    expect(() => addMap(noFiles(), paths, "m", twice, "k", "v")).toThrow(misused);
    expect(() => addMap(noFiles(), paths, "m", twice, "k", "w")).toThrow(misused);
    expect(() => addMap(noFiles(), paths, "m", "rows", "k", "v")).toThrow(misused);
  });

  test.each(["", "../x", "a/b", ".hidden", "a b", undefined])("refuses %j as the file's name", (name) => {
    expect(() => addMap(noFiles(), paths, name, [], "k", "v")).toThrow(misused);
  });

  test.each(["/a b/maps", "/a,b", "/a)b", "/a'b", "/a$b", "/a%b"])("refuses the directory %j", (maps) => {
    expect(() => addMap(noFiles(), { ...paths, maps }, "m", [], "k", "v")).toThrow(unsafe);
  });
});

describe("asset", () => {
  const template = templateFromSources("/t/main.njk", { "errors/503.http": "page\n", "main.njk": "" });

  test("is named by its content", () => {
    const files = noFiles();
    const path = addAsset(files, paths, template, "errors/503.http");
    expect(path).toBe(`/s/assets/503.${hexDigest("page\n", 8)}.http`);
    expect([...files.assets]).toEqual([[path, "page\n"]]);
  });

  test.each(["503.http", "../etc/passwd", "constructor", "__proto__", undefined, 5])("does not find %p", (name) => {
    expect(() => addAsset(noFiles(), paths, template, name)).toThrow(misused);
  });
});
