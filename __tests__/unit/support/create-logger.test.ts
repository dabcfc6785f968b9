import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { createLogger, type LoggerOptions } from "../../../src/support/create-logger.ts";
import { SluiceError } from "../../../src/support/errors.ts";

async function recording(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  const logger = await createLogger({
    level: "info",
    destination: { write: (line) => lines.push(line) },
    ...options,
  });
  return { logger, lines, entries: () => lines.map((line) => JSON.parse(line)) };
}

describe("the log", () => {
  test("is one JSON object per line, with ISO time and level by name", async () => {
    const { logger, lines, entries } = await recording();
    logger.warn({ service: "web", count: 2 }, "two left");
    expect(entries()).toEqual([
      {
        level: "warn",
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        service: "web",
        count: 2,
        msg: "two left",
      },
    ]);
    expect(lines[0]?.endsWith("\n")).toBe(true);
  });

  test("keeps to its level, which can be changed at run time, for children born before too", async () => {
    const { logger, entries } = await recording({ level: "warn" });
    const child = logger.child({ part: "store" }).child({ file: "x" });
    child.info({}, "not yet");
    logger.setLevel("debug");
    expect(logger.level()).toBe("debug");
    child.debug({}, "now");
    logger.setLevel("error");
    child.warn({}, "no more");
    logger.error({}, "still");
    expect(entries().map((entry) => entry.msg)).toEqual(["now", "still"]);
    expect(entries()[0]).toMatchObject({ part: "store", file: "x" });
  });

  test.each(["error", "err"])("tells of a SluiceError under %s its code, details and causes", async (name) => {
    const { logger, entries } = await recording();
    const root = Object.assign(new Error("write failed"), { code: "ENOSPC" });
    const cause = new TypeError("in between", { cause: root });
    const error = new SluiceError("ERR_STATE_UNUSABLE", "cannot write", { cause, details: { path: "/s" } });
    logger.error({ [name]: error }, "failed");
    expect(entries()[0][name]).toEqual({
      code: "ERR_STATE_UNUSABLE",
      message: "cannot write",
      details: { path: "/s" },
      cause: { name: "TypeError", message: "in between", cause: { code: "ENOSPC", message: "write failed" } },
    });
  });

  test("tells of a defect its stack, and of what is no error what it is", async () => {
    const { logger, entries } = await recording();
    logger.error({ error: new SluiceError("ERR_INTERNAL", "a defect") }, "1");
    logger.error({ error: new RangeError("another") }, "2");
    logger.error({ error: "a text" }, "3");
    expect(entries()[0].error).toEqual({ code: "ERR_INTERNAL", message: "a defect", stack: expect.any(String) });
    expect(entries()[1].error).toEqual({ name: "RangeError", message: "another", stack: expect.any(String) });
    expect(entries()[2].error).toBe("a text");
  });

  test("is not caught in a circle of causes", async () => {
    const { logger, entries } = await recording();
    const error = new Error("a");
    error.cause = new Error("b", { cause: error });
    logger.error({ error }, "round");
    expect(entries()).toHaveLength(1);
  });

  test("is for people when it should be: one line, without colour where no terminal is", async () => {
    const { logger, lines } = await recording({ pretty: true });
    logger.info({ service: "web" }, "hello");
    expect(lines).toEqual([expect.stringMatching(/^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: hello \{"service":"web"\}\n$/)]);
  });

  test("of a process goes to its stdout at once, and costs nothing but lines when that is full", () => {
    const root = fileURLToPath(new URL("../../../", import.meta.url));
    const program = `
      import { createLogger } from ${JSON.stringify(`${root}src/support/create-logger.ts`)};
      const logger = await createLogger({ level: "info" });
      for (let n = 0; n < 3; n += 1) logger.info({ n }, "hello");
      process.stderr.write("went on");
      process.kill(process.pid, "SIGKILL");`;
    const run = (target: string) =>
      spawnSync(
        "sh",
        ["-c", `exec "$0" --import tsx --input-type=module -e "$1" ${target}`, process.execPath, program],
        {
          cwd: root,
          encoding: "utf8",
        },
      );
    const piped = run("| cat");
    expect(
      piped.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).n),
    ).toEqual([0, 1, 2]);
    expect(run("> /dev/full").stderr).toContain("went on");
  }, 30_000);
});
