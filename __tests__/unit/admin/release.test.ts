import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { askOperator } from "../../../src/admin/client.ts";
import { type AdminActions, serveAdmin } from "../../../src/admin/server.ts";

let directory: string;
let socket: string;
let close: () => Promise<void>;
let targets: string[];

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "sluice-admin-"));
  socket = path.join(directory, "admin.sock");
  targets = [];
  const held = ["web/n1/web-1", "web/n2/web-2"];
  const actions: Partial<AdminActions> = {
    release: (target) => {
      targets.push(target);
      return { released: held.filter((name) => name.startsWith(target)).length, held };
    },
  };
  close = await serveAdmin(socket, actions as AdminActions);
});
afterEach(async () => {
  await close();
  await rm(directory, { recursive: true });
});

const release = (body: object) => askOperator(socket, "/v1/release", "POST", body);

test("a service, or one instance of it", async () => {
  expect(await release({ service: "web" })).toEqual({ released: 2 });
  expect(await release({ service: "web/n1/web-1" })).toEqual({ released: 1 });
  expect(await release({ service: "web", instance: "n2/web-2" })).toEqual({ released: 1 });
  expect(targets).toEqual(["web", "web/n1/web-1", "web/n2/web-2"]);
});

test("of which nothing is held: the error names what is", async () => {
  await expect(release({ service: "api" })).rejects.toMatchObject({
    code: "ERR_NOT_HELD",
    message: 'nothing is held of "api", only web/n1/web-1, web/n2/web-2',
    details: { held: ["web/n1/web-1", "web/n2/web-2"] },
  });
});

test.each<[string, object]>([
  ["nothing", {}],
  ["an empty name", { service: "" }],
  ["another type", { service: 3 }],
  ["a key that is not known", { service: "web", all: true }],
])("a body with %s is refused, and nothing is let go", async (_, body) => {
  await expect(release(body)).rejects.toMatchObject({ code: "ERR_USAGE" });
  expect(targets).toEqual([]);
});

test("where nobody answers, that is said", async () => {
  const nowhere = path.join(directory, "none.sock");
  await expect(askOperator(nowhere, "/v1/release", "POST", { service: "web" })).rejects.toMatchObject({
    code: "ERR_ADMIN_UNREACHABLE",
  });
});
