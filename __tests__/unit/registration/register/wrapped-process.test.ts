import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "@jest/globals";
import { startProcess } from "../../../../src/registration/register/wrapped-process.ts";

test("the process has the environment without what is ours, secrets among it", async () => {
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-wrapped-"));
  try {
    const file = path.join(directory, "env.json");
    const write = 'require("fs").writeFileSync(process.argv[1], JSON.stringify(process.env))';
    const theirs = { APP_PORT: "80", CONSUL_HTTP_TOKEN: "theirs", SLUICED: "theirs", PATH: process.env["PATH"] };
    const ours = {
      SLUICE_CONSUL_TOKEN: "secret",
      SLUICE_REGISTER_HAPROXY: "http://user:secret@lb:9000/",
      SLUICE_STATS_PASSWORD: "secret",
    };
    const { ended } = await startProcess([process.execPath, "-e", write, file], { ...theirs, ...ours });
    expect(await ended).toBe(0);
    expect(JSON.parse(await readFile(file, "utf8"))).toEqual(theirs);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test.each([
  ["/nowhere/at-all", 127],
  ["./package.json", 126],
])("%s cannot be started: %i", async (program, status) => {
  const started = startProcess([program], process.env);
  await expect(started).rejects.toMatchObject({ code: "ERR_REGISTER_COMMAND", details: { status } });
});
