import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TemplateSource } from "../../src/reconciler/ports.ts";
import { Renderer } from "../../src/render/renderer.ts";
import { loadTemplate } from "../../src/render/template-source.ts";
import type { LoadBalancer } from "../../src/routing/types.ts";
import { settingsSchema } from "../../src/settings/schema.ts";
import { haproxyBinary } from "./binaries.ts";
import { freePort } from "./free-port.ts";
import { accepts } from "./raw-tcp.ts";

/** A HAProxy with what the template makes of a load balancer, and no operator. */
export interface RenderedHaproxy {
  readonly httpPort: number;
  /** What it wrote to its standard output so far, line by line: the access log among it. */
  lines(): readonly string[];
  /** The first line that satisfies the test, as soon as there is one; rejects after 10 s. */
  line(test: (line: string) => boolean): Promise<string>;
  stop(): Promise<void>;
}

/**
 * @param more settings by section; the addresses are set here
 * @param template default: the one that comes with Sluice
 */
export async function startRendered(
  loadBalancer: LoadBalancer,
  more: Readonly<Record<string, object>> = {},
  template?: TemplateSource,
): Promise<RenderedHaproxy> {
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-rendered-"));
  const httpPort = await freePort();
  const settings = settingsSchema.parse({
    tcp: { bind: "127.0.0.1" },
    ...more,
    http: { bind: `127.0.0.1:${httpPort}`, ...more["http"] },
    stats: { bind: `127.0.0.1:${await freePort()}` },
  });
  const below = (name: string) => path.join(directory, name);
  const paths = { directory, maps: below("maps"), assets: below("assets"), runtimeSocket: below("runtime.sock") };
  const rendered = new Renderer({ paths }).render(loadBalancer, settings, template ?? (await loadTemplate()));
  for (const [file, text] of [...rendered.maps, ...rendered.assets, [below("haproxy.cfg"), rendered.text] as const]) {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  const child = spawn(haproxyBinary, ["-db", "-f", below("haproxy.cfg")], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let errors = "";
  child.stdout.setEncoding("latin1").on("data", (chunk: string) => {
    output += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    errors += chunk;
  });
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  const killWithUs = () => child.kill("SIGKILL");
  process.once("exit", killWithUs);
  const stop = async () => {
    process.off("exit", killWithUs);
    child.kill("SIGKILL");
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  const deadline = Date.now() + 20_000;
  while (!(await accepts(httpPort))) {
    if (child.exitCode !== null || child.pid === undefined || Date.now() > deadline) {
      await stop();
      throw new Error(`haproxy did not come up: ${errors}\n${rendered.text}`);
    }
    await sleep(20);
  }
  const lines = () => output.split("\n").slice(0, -1);
  return {
    httpPort,
    lines,
    line: async (test) => {
      const until = Date.now() + 10_000;
      for (;;) {
        const found = lines().find(test);
        if (found !== undefined) return found;
        if (Date.now() > until) throw new Error(`no such line within 10 s: ${lines().slice(-20).join("\n")}`);
        await sleep(10);
      }
    },
    stop,
  };
}
