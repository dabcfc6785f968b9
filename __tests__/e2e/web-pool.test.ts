import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, jest, test } from "@jest/globals";
import { type ComposeOptions, type ComposeProject, withProject } from "../support/compose.ts";
import { ComposePool } from "../support/compose-pool.ts";
import { docker } from "../support/docker.ts";
import { printLoad } from "../support/fault-report.ts";
import type { LoadAnswer } from "../support/load.ts";
import { startLoad } from "../support/load.ts";
import { eventually } from "../support/sluice.ts";
import { statsColours } from "../support/stats-page.ts";
import { ask } from "../support/system.ts";

jest.setTimeout(600_000);

/** What the page of a set-up without servers says. */
const fallback = "Not available right now";

/** World A in one of its forms: HAProxy and the operator in two containers, or in one. */
interface Shape {
  readonly title: string;
  readonly name: string;
  readonly options: ComposeOptions;
  /** Ways in which the operator goes away and comes back. */
  readonly operator: readonly { readonly what: string; readonly does: (project: ComposeProject) => Promise<void> }[];
}

const supervisor = (project: ComposeProject, ...words: readonly string[]) =>
  project.exec("lb", "supervisorctl", "-c", "/etc/supervisor/supervisord.conf", ...words);

const shapes: readonly Shape[] = [
  {
    title: "HAProxy and operator as two containers, reload by the master",
    name: "web",
    options: {},
    operator: [
      {
        what: "stopped and started",
        does: async (project) => {
          await project.compose("stop", "operator");
          await sleep(1_000);
          await project.compose("start", "operator");
        },
      },
      {
        what: "killed and started",
        does: async (project) => {
          await project.compose("kill", "operator");
          await sleep(1_000);
          await project.compose("start", "operator");
        },
      },
      {
        what: "made anew",
        does: async (project) => {
          await project.compose("up", "-d", "--no-deps", "--force-recreate", "operator");
        },
      },
    ],
  },
  {
    title: "all in one container, reload by -sf",
    name: "one",
    options: {
      files: ["compose.yml", "docker/compose.all-in-one.yml"],
      environment: { SLUICE_HAPROXY_RELOAD: "sf" },
    },
    operator: [
      {
        what: "stopped and started",
        does: async (project) => {
          await supervisor(project, "stop", "operator");
          await sleep(1_000);
          await supervisor(project, "start", "operator");
        },
      },
      {
        what: "killed",
        does: async (project) => {
          await supervisor(project, "signal", "KILL", "operator");
        },
      },
    ],
  },
];

describe.each(shapes)("$title", ({ name, options, operator }) => {
  test("a pool of web servers is scaled under load", () =>
    withProject(name, options, async (project) => {
      const pool = webPool(project);
      await project.up({ web: 1 });
      await eventually("it answers", async () => (await pool.names(1)).length === 1, 120_000);
      await showsExactly(project, pool);
      expect(await headersSeen(project)).toEqual({
        "X-Forwarded-For": expect.stringMatching(/^(?!192\.0\.2\.)\d+\.\d+\.\d+\.\d+$/),
        "X-Forwarded-Port": "80",
        "X-Forwarded-Proto": "http",
      });

      const page = fallbackOnly();
      const { accepts } = page;
      const load = startLoad({ port: project.ports.http, keepAlive: 8, oneShot: 8, pauseMs: 10, accepts });
      const figures: string[] = [];
      try {
        await project.scale("web", 5);
        figures.push(`all five answer ${await pool.untilAllAnswer()} ms after the scale returned`);
        await showsExactly(project, pool);
        expect(load.report().failures).toEqual([]);

        await project.scale("web", 2);
        await showsExactly(project, pool);
        expect(load.report().failures).toEqual([]);

        page.mayCome();
        await project.scale("web", 0);
        await eventually("the fallback page", async () => {
          const { status, body } = await ask(project.ports.http);
          return status === 503 && body.includes(fallback);
        });
        await showsExactly(project, pool);

        page.mustGo();
        await project.scale("web", 3);
        figures.push(`three after none ${await pool.untilAllAnswer()} ms`);
        await showsExactly(project, pool);
        expect(load.report().failures).toEqual([]);
        figures.push(`${page.count()} times the fallback page`);

        let count = 3;
        for (const { what, does } of operator) {
          await does(project);
          // It is back and at work: it sees what comes and goes.
          count = count === 3 ? 4 : 3;
          await project.scale("web", count);
          figures.push(`operator ${what}, then ${count} after ${await pool.untilAllAnswer()} ms`);
          await showsExactly(project, pool);
          expect({ what, failures: load.report().failures }).toEqual({ what, failures: [] });
        }
      } finally {
        const report = await load.stop();
        printLoad(`world A, ${name}`, report, ...figures);
      }
      expect(load.report().failures).toEqual([]);

      await project.compose("restart", "lb");
      await eventually("it answers again", async () => (await pool.names(1)).length > 0, 60_000);
      await pool.untilAllAnswer();
      await showsExactly(project, pool);

      await project.down();
      expect(await project.leftovers()).toEqual([]);
    }));
});

test("HAProxy alone shows a page of its own and its stats, before there ever was an operator", () =>
  withProject("lb", {}, async (project) => {
    await project.compose("up", "-d", "--no-deps", "lb");
    await eventually("it answers", async () => (await ask(project.ports.http)).body.includes(fallback), 60_000);
    expect((await ask(project.ports.http)).status).toBe(503);
    const page = await ask(project.ports.stats, { path: "/haproxy_stats", auth: "admin:admin" });
    expect(page.status).toBe(200);
    expect((await ask(project.ports.stats, { path: "/haproxy_stats" })).status).toBe(401);
    await eventually("it is healthy", async () => (await project.container("lb")).health === "healthy", 120_000);
  }));

describe("the images", () => {
  const base = process.env["DEBIAN_IMAGE"] ?? "debian:trixie-slim";
  const megabyte = 1_000_000;

  test("the operator's is at most 250 MB above its base, has no build tools, no root, a health check and a stop signal", async () => {
    const [own, below] = await Promise.all([inspect("sluice"), inspect(base)]);
    const above = (own.Size - below.Size) / megabyte;
    process.stdout.write(
      `image sluice: ${(own.Size / megabyte).toFixed(0)} MB, ${above.toFixed(0)} MB above ${base}\n`,
    );
    expect(above).toBeLessThan(250);
    expect(own.Config).toMatchObject({
      User: expect.stringMatching(/^(?!root$|0$)./),
      StopSignal: expect.stringMatching(/^SIG/),
      Healthcheck: { Test: expect.arrayContaining([expect.any(String)]) },
    });
    const tools = ["npm", "npx", "gcc", "cc", "make", "git"];
    const look = `id -u; for tool in ${tools.join(" ")}; do command -v $tool; done; true`;
    const printed = await docker(["run", "--rm", "--network=none", "--entrypoint=sh", "sluice", "-c", look]);
    expect(printed.trim()).toMatch(/^[1-9]\d*$/);
  });
});

interface Image {
  readonly Size: number;
  readonly Config: { readonly User: string; readonly StopSignal?: string; readonly Healthcheck?: object };
}

async function inspect(image: string): Promise<Image> {
  const [found] = JSON.parse(await docker(["image", "inspect", image])) as readonly Image[];
  if (found === undefined) throw new Error(`no image ${image}`);
  return found;
}

/**
 * Judges the answers of a pool that is emptied and filled again. The fallback page is right while there is no server: not
 * before mayCome(), not where a request that was sent later is still served, and no more once one is served after mustGo().
 */
function fallbackOnly() {
  let from = Number.POSITIVE_INFINITY;
  let firstAt = Number.POSITIVE_INFINITY;
  let rising = false;
  let servedAt = Number.POSITIVE_INFINITY;
  let count = 0;
  return {
    accepts: ({ status, body, sentAt }: LoadAnswer): boolean => {
      const now = performance.now();
      if (status === 200) {
        if (rising) servedAt = Math.min(servedAt, now);
        return rising || sentAt < firstAt;
      }
      count += 1;
      if (now > from) firstAt = Math.min(firstAt, now);
      return status === 503 && body.includes(fallback) && now > from && sentAt < servedAt;
    },
    mayCome: () => {
      from = performance.now();
    },
    mustGo: () => {
      rising = true;
    },
    count: () => count,
  };
}

function webPool(project: ComposeProject): ComposePool {
  const { http: traffic, stats } = project.ports;
  const nameIn = (body: string) => /<title>([^<]+)</.exec(body)?.[1];
  return new ComposePool(project, { service: "web", port: 80, traffic, stats, nameIn });
}

/** Waits until the stats page has the containers that run, no more and no less, each in the colour of one that is up. */
async function showsExactly(project: ComposeProject, pool: ComposePool): Promise<void> {
  const running = await pool.running();
  await pool.untilShown(running);
  const rows = running.map((container) => `${pool.serverOf(container)} active_up`).sort();
  expect(await statsColours(project.ports.stats, "web")).toEqual(rows);
}

/** What the page says of the headers that the balancer adds; what a client claims of itself is not among it. */
async function headersSeen(project: ComposeProject): Promise<Readonly<Record<string, string>>> {
  const claims = { "X-Forwarded-For": "192.0.2.9", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "1" };
  const { body } = await ask(project.ports.http, { headers: claims });
  const pairs = [...body.matchAll(/<dt>(X-Forwarded-[^<]+)<\/dt>\s*<dd>([^<]*)<\/dd>/g)];
  return Object.fromEntries(pairs.map(([, name, value]) => [name, value]));
}
