import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";

const root = fileURLToPath(new URL("../..", import.meta.url));
let tree: string;

// dependency-cruiser is a program of its own, and the machine may be busy.
jest.setTimeout(60_000);

beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), "sluice-imports-"));
  for (const name of ["consul", "zod", "leftpad"]) {
    file(`node_modules/${name}/package.json`, JSON.stringify({ name, main: "index.js" }));
    file(`node_modules/${name}/index.js`, "export const it = 1;\n");
  }
  file("package.json", JSON.stringify({ type: "module", dependencies: { consul: "1", zod: "1", leftpad: "1" } }));
  for (const name of ["catalog", "routing", "render", "haproxy/plan", "haproxy/runtime"]) {
    file(`src/${name}/types.ts`, "export interface It { readonly it: number }\n");
  }
  file("src/settings/schema.ts", 'import { it } from "zod";\nexport type Settings = typeof it;\n');
  file("src/support/digest.ts", 'import { createHash } from "node:crypto";\nexport const digest = createHash;\n');
  file("src/haproxy/config/parse.ts", "export const parse = 1;\n");
  file("src/haproxy/runtime/connection.ts", 'import net from "node:net";\nexport const connect = net.connect;\n');
  file("src/cli/run.ts", "export const run = 1;\n");
  file("src/operator.ts", "export const operator = 1;\n");
});

afterEach(() => rmSync(tree, { recursive: true, force: true }));

test("what the design allows passes", () => {
  file(
    "src/routing/route.ts",
    `import type { It } from "../catalog/types.ts";
     import type { Settings } from "../settings/schema.ts";
     import { digest } from "../support/digest.ts";
     export const route = (it: It, settings: Settings) => [it, settings, digest];`,
  );
  file("src/haproxy/plan/plan.ts", 'import { parse } from "../config/parse.ts";\nexport const plan = parse;\n');
  file("src/catalog/watch.ts", 'import { it } from "consul";\nexport const watch = it;\n');
  file("src/main.ts", 'import { run } from "./cli/run.ts";\nrun;\n');
  expect(breaches()).toEqual([]);
});

/** File, its text, the rule it breaks. */
const offences: readonly (readonly [string, string, string])[] = [
  // Layers.
  ["src/routing/a.ts", 'import { connect } from "../haproxy/runtime/connection.ts";', "layer-routing"],
  ["src/support/b.ts", 'import type { It } from "../catalog/types.ts";', "layer-support"],
  ["src/haproxy/config/c.ts", 'import type { It } from "../runtime/types.ts";', "layer-haproxy-config"],
  ["src/reconciler/d.ts", 'import { connect } from "../haproxy/runtime/connection.ts";', "layer-reconciler"],
  ["src/catalog/e.ts", 'import { operator } from "../operator.ts";', "root-is-not-imported"],
  ["src/store/f.ts", 'import { run } from "../cli/run.ts";', "cli-is-not-imported"],
  ["src/main.ts", 'import { parse } from "./haproxy/config/parse.ts";', "main-stays-thin"],
  // Purity.
  ["src/guard/g.ts", 'import { readFileSync } from "node:fs";', "pure-no-io"],
  ["src/haproxy/plan/h.ts", 'import { connect } from "net";', "pure-no-io"],
  ["src/routing/i.ts", 'import { it } from "zod";', "pure-no-package"],
  // Homes of packages; a type, and a dynamic import in the depth of a function, count too.
  ["src/reconciler/j.ts", 'import type { it } from "consul";', "package-consul"],
  ["src/reconciler/k.ts", 'export const f = async () => (await import("consul")).it;', "package-consul"],
  ["src/render/l.ts", 'import { it } from "leftpad";', "package-without-home"],
  ["src/catalog/m.ts", 'import { spawn } from "node:child_process";', "processes-in-two-places"],
  // All else.
  ["src/catalog/n.ts", 'import { it } from "./gone.ts";', "resolvable"],
  ["src/catalog/types.ts", 'import { parse } from "../haproxy/config/parse.ts";', "contracts-stay-contracts"],
  // A cycle of types alone is a cycle; it is named once.
  ["src/render/o.ts", 'import type { P } from "./p.ts"; export interface O { readonly p: P }', "no-cycle"],
];

test("what the design forbids is refused, each by its rule", () => {
  file("src/render/p.ts", 'import type { O } from "./o.ts"; export interface P { readonly o: O }\n');
  for (const [path, text] of offences) file(path, `${text}\n`);
  const found = breaches();
  expect(offences.map(([path, , rule]) => `${rule}: ${path}`).filter((breach) => !found.includes(breach))).toEqual([]);
});

function file(path: string, text: string): void {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), text);
}

/** `rule: file`, one per breach, as the real rule file sees the tree. */
function breaches(): readonly string[] {
  const cruise = join(root, "node_modules", "dependency-cruiser", "bin", "dependency-cruise.mjs");
  const args = [cruise, "--config", join(root, ".dependency-cruiser.cjs"), "--output-type", "json", "src"];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: tree, encoding: "utf8" });
  if (!stdout.startsWith("{")) throw new Error(`dependency-cruiser gave no result: ${stderr}`);
  const { summary } = JSON.parse(stdout) as {
    summary: { violations: readonly { rule: { name: string }; from: string }[] };
  };
  return summary.violations.map(({ rule, from }) => `${rule.name}: ${from}`);
}
