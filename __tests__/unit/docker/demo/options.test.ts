import { describe, expect, test } from "@jest/globals";
import { commandHelp, parseCommand, parseOptions, usage } from "../../../../docker/demo/options.ts";
import { worlds } from "../../../../docker/demo/worlds.ts";

describe("arguments", () => {
  test("none: three instances on the usual ports", () => {
    expect(parseOptions([])).toEqual({
      world: worlds.web,
      instances: 3,
      trafficPort: 80,
      statsPort: 9000,
      consulPort: 8500,
    });
  });

  test("a world has its own service, number of instances and entry point", () => {
    expect(parseOptions(["--world", "grpc"])).toMatchObject({ world: worlds.grpc, instances: 3, trafficPort: 5000 });
    expect(parseOptions(["--world=quotes", "--scale", "quotes=8"])).toMatchObject({
      world: worlds.quotes,
      instances: 8,
    });
  });

  test("each can be given, with a space or an equals sign", () => {
    const args = ["--scale", "web=5", "--traffic-port=8080", "--stats-port", "9100", "--consul-port=8600"];
    expect(parseOptions(args)).toEqual({
      world: worlds.web,
      instances: 5,
      trafficPort: 8080,
      statsPort: 9100,
      consulPort: 8600,
    });
  });

  test.each([
    [["--scale", "web=99"], "too many"],
    [["--scale", "db=2"], 'no service "db"'],
    [["--scale", "five"], '"scale five" is not known'],
    [["--traffic-port", "0"], "--traffic-port 0: not a port"],
    [["--stats-port", "http"], "--stats-port http: not a port"],
    [["--bogus"], "--bogus"],
    [["--world", "mars"], "--world mars: not known; one of web, grpc, quotes"],
    [["--world", "grpc", "--scale", "web=2"], "scale hello_server=2"],
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
    expect(parseCommand(line, worlds.web)).toEqual(command);
  });

  test.each([
    ["scale quotes=8", { kind: "scale", instances: 8 }],
    ["load", { kind: "load", requests: 6000 }],
    ["load 600", { kind: "load", requests: 600 }],
  ])("%j among quotes", (line, command) => {
    expect(parseCommand(line, worlds.quotes)).toEqual(command);
  });

  test("load is for quotes alone, and of something", () => {
    expect(parseCommand("load", worlds.web).kind).toBe("mistake");
    expect(parseCommand("load 0", worlds.quotes).kind).toBe("mistake");
  });

  test.each(["scale web", "scale web=-1", "scale web=2.5", "scale", "hello"])("%j is a mistake", (line) => {
    expect(parseCommand(line, worlds.web).kind).toBe("mistake");
  });
});

test("the help names the commands of each world, and the usage the worlds", () => {
  for (const world of Object.values(worlds)) {
    const names = [...commandHelp(world).matchAll(/^ {2}(\w+)/gm)].map(([, name = ""]) => name);
    expect(names).toContain("scale");
    for (const name of names) {
      const line = name === "scale" ? `scale ${world.service}=1` : name;
      expect(parseCommand(line, world).kind).toBe(name);
    }
    expect(usage).toContain(`--world ${world.name} `);
  }
});
