import { networkInterfaces } from "node:os";
import { describe, expect, test } from "@jest/globals";
import { parseEndpoint } from "../../../../src/catalog/endpoint.ts";
import { addressTowards, agentPlace, registrationOf } from "../../../../src/registration/register/place.ts";
import { readRegister } from "../../../../src/registration/register/read-options.ts";

const local = agentPlace(parseEndpoint("http://127.0.0.1:8500"));
const elsewhere = agentPlace(parseEndpoint("http://consul:8500"));

function register(flags: object) {
  const needed = { name: "web", port: "80", id: "w" };
  return readRegister({ flags: { ...needed, ...flags }, env: {}, host: "box", command: ["app"] });
}

test("the place of an agent", () => {
  expect(local).toEqual({ local: true, host: "127.0.0.1", port: 8500 });
  expect(elsewhere).toEqual({ local: false, host: "consul", port: 8500 });
  expect(agentPlace(parseEndpoint("https://[fd00::1]"))).toEqual({ local: false, host: "fd00::1", port: 443 });
  expect(agentPlace(parseEndpoint("unix:///run/consul.sock")).local).toBe(true);
});

describe("the address others reach this host at", () => {
  test("is the agent's own where the agent is here", async () => {
    expect(await addressTowards(local)).toBeUndefined();
  });

  test("is the agent's own too where its name leads to this host", async () => {
    expect(await addressTowards({ local: false, host: "localhost", port: 9 })).toBeUndefined();
  });

  test("is else the one this host has towards the agent, though nobody answers there", async () => {
    const own = Object.values(networkInterfaces()).flatMap((all = []) => all.filter(({ internal }) => !internal));
    const found = own.filter(({ family }) => family === "IPv4").map(({ address }) => address);
    const towards = found.map((host) => addressTowards({ local: false, host, port: 9 }));
    expect(await Promise.all(towards)).toEqual(found);
  });

  test("is not known where the agent's name has no address", async () => {
    await expect(addressTowards({ local: false, host: "nowhere.invalid", port: 8500 })).rejects.toThrow();
  });
});

describe("the check", () => {
  const rest = { status: "passing", deregisterAfterMs: 90_000 };
  const pace = { intervalMs: 5_000, timeoutMs: 2_000 };

  test.each([
    [{ check: "ttl" }, { kind: "ttl", name: "kept by sluice register", ttlMs: 15_000, ...rest }],
    [
      { check: "tcp" },
      { kind: "tcp", name: "10.0.0.5:81 accepts connections", address: "10.0.0.5:81", ...pace, ...rest },
    ],
    [
      { check: "http", checkPath: "/health" },
      { kind: "http", name: "GET /health", url: "http://10.0.0.5:81/health", ...pace, ...rest },
    ],
    [{ check: "grpc" }, { kind: "grpc", name: "gRPC health", address: "10.0.0.5:81", ...pace, ...rest }],
    [
      { check: "grpc", checkPath: "a.B" },
      { kind: "grpc", name: "gRPC health", address: "10.0.0.5:81/a.B", ...pace, ...rest },
    ],
    [{ check: "none" }, undefined],
  ])("%j: an agent on this host looks where the process was found to listen", (flags, check) => {
    const registration = registrationOf(register({ ...flags, listen: "81" }), local, undefined, "10.0.0.5");
    expect(registration.check).toEqual(check);
    expect(registration).toMatchObject({ id: "w", name: "web", port: 80 });
    expect("address" in registration).toBe(false);
  });

  test("an agent elsewhere looks where everybody else does", () => {
    const asked = register({ check: "tcp", listen: "81" });
    const registration = registrationOf(asked, elsewhere, "fd00::7", "127.0.0.1");
    expect(registration).toMatchObject({ address: "fd00::7", check: { address: "[fd00::7]:80" } });
  });

  test("of what runs elsewhere nothing is known yet", () => {
    const asked = readRegister({ flags: { name: "web", port: "80", once: true }, env: {}, host: "box", command: [] });
    expect(registrationOf(asked, local, undefined, "127.0.0.1").check).not.toHaveProperty("status");
  });
});
