import { describe, expect, test } from "@jest/globals";
import { parseCommand, parseOptions } from "../../../../docker/demo/options.ts";

describe("arguments", () => {
  test("none: three instances on the usual ports", () => {
    expect(parseOptions([])).toEqual({ instances: 3, trafficPort: 80, statsPort: 9000, consulPort: 8500 });
  });

  test("each can be given, with a space or an equals sign", () => {
    const args = ["--scale", "web=5", "--traffic-port=8080", "--stats-port", "9100", "--consul-port=8600"];
    expect(parseOptions(args)).toEqual({ instances: 5, trafficPort: 8080, statsPort: 9100, consulPort: 8600 });
  });

  test.each([
    [["--scale", "web=99"], "too many"],
    [["--scale", "db=2"], 'no service "db"'],
    [["--scale", "five"], '"scale five" is not known'],
    [["--traffic-port", "0"], "--traffic-port 0: not a port"],
    [["--stats-port", "http"], "--stats-port http: not a port"],
    [["--bogus"], "--bogus"],
  ])("%j is a mistake", (args, message) => {
    expect(parseOptions(args)).toEqual({ kind: "mistake", message: expect.stringContaining(message) });
  });
});

describe("what is typed", () => {
  test.each([
    ["scale web=5", { kind: "scale", instances: 5 }],
    ["  scale   web = 0 ", { kind: "scale", instances: 0 }],
    ["list", { kind: "list" }],
    ["restart", { kind: "restart" }],
    ["quit", { kind: "quit" }],
    ["exit", { kind: "quit" }],
    ["", { kind: "nothing" }],
  ])("%j", (line, command) => {
    expect(parseCommand(line)).toEqual(command);
  });

  test.each(["scale web", "scale web=-1", "scale web=2.5", "scale", "hello"])("%j is a mistake", (line) => {
    expect(parseCommand(line).kind).toBe("mistake");
  });
});
