import { describe, expect, test } from "@jest/globals";
import { createAssembler } from "../../../src/routing/assemble.ts";
import type { ServiceBackend } from "../../../src/routing/backend.ts";
import { claim } from "../../support/routes.ts";
import { backend, server, settings } from "../render/fixtures.ts";

const given = settings({ http: { defaultService: "web" } });
const service = (name: string, more: Partial<ServiceBackend> = {}): ServiceBackend => ({
  backend: backend(name, [server(`${name}-1`, "10.0.0.1", 80)]),
  claims: [claim(name, { host: `${name}.x` })],
  listens: [],
  registers: [],
  excluded: [],
  ...more,
});

describe("what did not change keeps its identity", () => {
  test("an instance that joins leaves routes, maps and listeners as they are", () => {
    const assemble = createAssembler();
    const [web, api] = [service("web"), service("api")];
    const before = assemble([web, api], given);
    const joined = {
      ...web,
      backend: backend("web", [...web.backend.servers, server("web-2", "10.0.0.2", 80)]),
      claims: [{ ...claim("web", { host: "web.x" }), count: 2 }],
    };
    const after = assemble([joined, api], given);
    expect(after.backends).not.toEqual(before.backends);
    expect(after.backends[0]).toBe(before.backends[0]);
    for (const part of ["routes", "maps", "listeners", "excluded"] as const) expect(after[part]).toBe(before[part]);
  });

  test("a changed route leaves the others", () => {
    const assemble = createAssembler();
    const before = assemble([service("web"), service("api")], given);
    const after = assemble([service("web"), service("api", { claims: [claim("api", { host: "other.x" })] })], given);
    expect(after.maps).not.toBe(before.maps);
    expect(after.routes.find(({ host }) => host === "web.x")).toBe(before.routes.find(({ host }) => host === "web.x"));
    expect(after.routes.map(({ host }) => host)).toEqual(["other.x", "web.x"]);
    expect(assemble([], given).routes).toEqual([]);
  });

  test("a backend of which servers are named says so, and stays the same", () => {
    const assemble = createAssembler();
    const some = service("web", { claims: [claim("web", {}, { carriers: ["web-1"] })] });
    const [first] = assemble([some], given).backends;
    expect(first).toMatchObject({ name: "web", picks: true });
    expect(assemble([some], given).backends[0]).toBe(first);
    expect(assemble([service("web")], given).backends[0]).toMatchObject({ picks: false });
  });
});

describe("backends and names", () => {
  test("one that lost its name brings no claims and no ports", () => {
    const twin = service("web", {
      backend: backend("web", [], { sources: [{ datacenter: "dc2", name: "web" }] }),
      claims: [claim("web", { host: "twin.x" })],
    });
    const { backends, routes, excluded } = createAssembler()([twin, service("web")], given);
    expect(backends).toHaveLength(1);
    expect(routes.map(({ host }) => host)).toEqual(["web.x"]);
    expect(excluded).toMatchObject([{ service: "web", code: "name-conflict" }]);
  });

  test("the second backend of a service is one of the list, unless a service has that name", () => {
    const tcp = backend("web:tcp", [], { mode: "tcp", sources: [{ datacenter: "dc1", name: "web" }] });
    const listens = [
      {
        port: 5000,
        mode: "tcp",
        sni: "",
        backend: "web:tcp",
        priority: 0,
        since: 1,
        origin: { service: "web", kind: "tag", text: "" },
      },
    ] as const;
    const both = service("web", { tcp, listens });
    const alone = createAssembler()([both], given);
    expect(alone.backends.map(({ name }) => name)).toEqual(["web", "web:tcp"]);
    expect(alone.listeners).toMatchObject([{ port: 5000, mode: "tcp" }]);
    const { backends, listeners, excluded } = createAssembler()([both, service("web:tcp", { claims: [] })], given);
    expect(backends.map(({ name, mode }) => `${name} ${mode}`)).toEqual(["web http", "web:tcp http"]);
    expect(listeners).toEqual([]);
    expect(excluded).toMatchObject([{ service: "web", code: "name-conflict" }]);
  });

  test("the default service is none that is guarded: what no route matches meets no guard", () => {
    for (const options of [{ auth: "staff" }, { allow: ["10.0.0.0/8"] }, { deny: ["10.0.0.0/8"] }]) {
      const guarded = service("web", { claims: [claim("web"), claim("web", { path: "/admin" }, { options })] });
      const { defaultBackend, excluded } = createAssembler()([guarded], given);
      expect(defaultBackend).toBeUndefined();
      expect(excluded).toEqual([
        { service: "web", code: "option-unusable", reason: expect.stringContaining("http.defaultService") },
      ]);
    }
  });

  test("the default service's backend is named where it speaks http", () => {
    expect(createAssembler()([service("web")], given).defaultBackend).toBe("web");
    const tcp = service("web", { backend: backend("web", [], { mode: "tcp" }) });
    expect(createAssembler()([tcp], given).defaultBackend).toBeUndefined();
  });

  test("names that HAProxy is registered under are sorted, each once", () => {
    const assembled = createAssembler()(
      [service("a", { registers: ["y", "x"] }), service("b", { registers: ["x"] })],
      given,
    );
    expect(assembled.registers).toEqual(["x", "y"]);
  });
});
