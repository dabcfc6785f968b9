import { expect, test } from "@jest/globals";
import { parseConfig } from "../../../src/haproxy/config/parse.ts";
import { planChanges } from "../../../src/haproxy/plan/plan.ts";
import type { Desired } from "../../../src/haproxy/plan/types.ts";
import { Renderer } from "../../../src/render/renderer.ts";
import { loadTemplate } from "../../../src/render/template-source.ts";
import type { Backend } from "../../../src/routing/types.ts";
import { haproxy } from "../haproxy/plan/fixtures.ts";
import { backend, loadBalancer, paths, server, settings } from "./fixtures.ts";

const one = backend("one", [server("a_10.0.0.1:80", "10.0.0.1", 80)]);
const two = backend("two", [server("b_10.0.0.2:80", "10.0.0.2", 80, { options: { tls: true, backup: true } })]);

/** What it takes that a second service appears, as our own template writes both. */
async function appearing(added: Backend, [major, minor]: readonly [number, number]) {
  const capabilities = haproxy(major, minor);
  const renderer = new Renderer({ paths, haproxyVersion: capabilities.versionText });
  const template = await loadTemplate();
  const desired = (backends: readonly Backend[]): Desired => {
    const { text, maps } = renderer.render(loadBalancer(backends), settings(), template);
    return { config: parseConfig(text), maps };
  };
  const [current, wanted] = [desired([one]), desired([one, added])];
  const { operations, reload = [] } = planChanges({ current, wanted, capabilities, leaving: new Map() });
  return { operations: operations.map(({ kind }) => kind), reload: reload.map(({ code }) => code) };
}

test("HAProxy 3.4 makes the backend of a service that asks for nothing without a reload", async () => {
  const { operations, reload } = await appearing(two, [3, 4]);
  expect(reload).toEqual([]);
  expect(operations.slice(0, 3)).toEqual(["add-backend", "add-server", "publish-backend"]);
});

test("one with options of its own takes a reload, and so does any with HAProxy 3.2", async () => {
  expect((await appearing({ ...two, options: { retries: 1 } }, [3, 4])).reload).toEqual(["backend-added"]);
  expect((await appearing(two, [3, 2])).reload).toEqual(["backend-added"]);
});
