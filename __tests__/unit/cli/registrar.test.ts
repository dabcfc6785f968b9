import { describe, expect, test } from "@jest/globals";
import { main } from "../../../src/cli/main.ts";
import { fromRegistrator } from "../../../src/cli/registrator-words.ts";

describe("Registrator's command lines", () => {
  test.each([
    ["-internal consul://h:8500", "--internal consul://h:8500"],
    ["-internal=true -explicit=false -cleanup=1", "--internal --cleanup"],
    ["-ip 10.0.0.1 -ip=10.0.0.1", "--ip 10.0.0.1 --ip 10.0.0.1"],
    ["-useIpFromLabel=ip -resync 600 -ttl=30", "--ip-from-label ip --resync 600 --ttl 30"],
    ["-retry-attempts -1", "--retry-attempts -1"],
    ["--drain 5s -x --json", "--drain 5s -x --json"],
  ])("%s is %s", (theirs, ours) => {
    expect(fromRegistrator(theirs.split(" "))).toEqual(ours.split(" "));
  });
});

async function fails(line: string): Promise<{ code: number; err: string }> {
  let err = "";
  const terminal = { out: () => undefined, err: (text: string) => (err += text), env: {} };
  return { code: await main(["registrar", ...line.split(" ")], terminal as never), err };
}

describe("wrong use is said", () => {
  test.each([
    ["etcd://h:1", "services are registered with Consul alone"],
    ["-deregister on-success", "Allowed choices are always"],
    ["--resync soon", "not a length of time"],
    ["--ip host", "not an IP address"],
    ["--deregister-after 30s", "at least 1m"],
    ["--docker-socket ssh://h", "the Docker engine's address cannot be used"],
    ["-require-label", "unknown option"],
    ["--on-stop never", "Allowed choices are leave, deregister"],
  ])("%s", async (line, message) => {
    const { code, err } = await fails(line);
    expect(err).toContain(message);
    expect(code).toBe(2);
  });
});

test.each(["-ip=", "-tags=", "-useIpFromLabel=", "--ip="])(
  "%s is as if it were not given, as Go's flags are",
  async (word) => {
    const { err } = await fails(`${word} etcd://h:1`);
    // What is complained of first behind it.
    expect(err).toContain("services are registered with Consul alone");
  },
);

test("the help names every option that docs/registrar.md does", async () => {
  let help = "";
  const terminal = { out: (text: string) => (help += text), err: () => undefined, env: {} };
  expect(await main(["registrar", "--help"], terminal as never)).toBe(0);
  expect(help).toContain("consul://consul:8500");
  expect(help).toContain("--drain <time>");
});
