import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import {
  defaultTemplatePath,
  loadTemplate,
  mainTemplate,
  templateFiles,
  templateFromSources,
} from "../../../src/render/template-source.ts";

let directory: string;
const at = (name: string) => join(directory, name);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-template-"));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe("loadTemplate", () => {
  test("reads the template that comes with Sluice where no path is given", async () => {
    const template = await loadTemplate();
    expect(template.path).toBe(defaultTemplatePath);
    const names = Object.keys(template.sources);
    expect(names).toEqual([...names].sort());
    expect(names).toEqual(expect.arrayContaining(["backend.njk", "errors/503.http", "haproxy.cfg.njk", "request.njk"]));
  });

  test("reads main file and parts, and takes what is missing from the one that comes with Sluice", async () => {
    await mkdir(at("parts/deep"), { recursive: true });
    await mkdir(at(".git"));
    await mkdir(at("node_modules"));
    await writeFile(at("my.cfg"), "main");
    await writeFile(at("server.njk"), "own");
    await writeFile(at("parts/deep/x.njk"), "deep");
    for (const name of [".git/no.njk", "node_modules/no.njk", "no.txt"]) await writeFile(at(name), "no");
    const template = await loadTemplate(at("my.cfg"));
    expect(mainTemplate(template)).toBe("my.cfg");
    expect(template.sources).toMatchObject({ "my.cfg": "main", "server.njk": "own", "parts/deep/x.njk": "deep" });
    expect(template.sources["backend.njk"]).toBe((await loadTemplate()).sources["backend.njk"]);
    expect(Object.values(template.sources)).not.toContain("no");
  });

  test("follows symbolic links to files, as Kubernetes mounts them", async () => {
    await mkdir(at("..2024"));
    await writeFile(at("..2024/main.njk"), "main");
    await writeFile(at("..2024/x.njk"), "x");
    await symlink("..2024", at("..data"));
    await symlink("..data/main.njk", at("main.njk"));
    await symlink("..data/x.njk", at("x.njk"));
    const { sources } = await loadTemplate(at("main.njk"));
    expect(sources).toMatchObject({ "main.njk": "main", "x.njk": "x" });
    expect(Object.keys(sources).filter((name) => name.startsWith("."))).toEqual([]);
  });

  test("is frozen, survives JSON, and has a digest of its contents", async () => {
    await writeFile(at("main.njk"), "one");
    const one = await loadTemplate(at("main.njk"));
    expect(Object.isFrozen(one) && Object.isFrozen(one.sources)).toBe(true);
    const stored = JSON.parse(JSON.stringify(one.sources)) as Record<string, string>;
    expect(templateFromSources(one.path, stored)).toEqual(one);
    expect((await loadTemplate(at("main.njk"))).digest).toBe(one.digest);
    await writeFile(at("main.njk"), "two");
    expect((await loadTemplate(at("main.njk"))).digest).not.toBe(one.digest);
    expect(one.sources["main.njk"]).toBe("one");
  });

  test.each<[string, () => Promise<string>, RegExp]>([
    ["a missing file", async () => at("gone.njk"), /gone\.njk cannot be read: there is no such file/],
    ["a directory", async () => directory, /cannot be read: it is a directory/],
    [
      "what is not text",
      async () => {
        await writeFile(at("main.njk"), Buffer.from([0x61, 0xff, 0xfe]));
        return at("main.njk");
      },
      /main\.njk cannot be read: it is not UTF-8 text/,
    ],
    [
      "a part that is not text",
      async () => {
        await writeFile(at("main.njk"), "x");
        await writeFile(at("part.njk"), Buffer.from([0xff]));
        return at("main.njk");
      },
      /part\.njk cannot be read: it is not UTF-8 text/,
    ],
    [
      "a directory that is no template's",
      async () => {
        for (let index = 0; index < 210; index += 1) await mkdir(at(`d${index}`));
        await writeFile(at("main.njk"), "x");
        return at("main.njk");
      },
      /holds more than 200 directories; put the template in a directory of its own/,
    ],
  ])("tells path and reason: %s", async (_what, make, message) => {
    const path = await make();
    await expect(loadTemplate(path)).rejects.toMatchObject({
      code: "ERR_TEMPLATE_UNREADABLE",
      message: expect.stringMatching(message),
    });
  });
});

describe("templateFiles", () => {
  test("names what loadTemplate reads, and the main file even where it is missing", async () => {
    await mkdir(at("errors"));
    for (const name of ["a.njk", "errors/503.http", "note.txt"]) await writeFile(at(name), "x");
    expect(templateFiles(at("main.njk"))).toEqual([at("a.njk"), at("errors/503.http"), at("main.njk")]);
    expect(templateFiles(join(directory, "gone", "main.njk"))).toEqual([join(directory, "gone", "main.njk")]);
  });

  test("of no path: those of the template that comes with Sluice", async () => {
    expect(templateFiles()).toContain(defaultTemplatePath);
  });
});
