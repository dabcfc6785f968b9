import { setTimeout as sleep } from "node:timers/promises";
import { expect, jest, test } from "@jest/globals";
import { type ComposeProject, withProject } from "../support/compose.ts";
import { ComposePool } from "../support/compose-pool.ts";
import { type Container, docker } from "../support/docker.ts";
import { printLoad } from "../support/fault-report.ts";
import { startLoad } from "../support/load.ts";
import { eventually } from "../support/sluice.ts";
import { ask } from "../support/system.ts";

jest.setTimeout(900_000);

const servers = ["consul-1", "consul-2", "consul-3"];
/** A joining agent, its service's first check (each 5 s) and a leader's election take seconds, not more. */
const latestMs = 30_000;

test("an API behind a cluster of three Consul servers, of which any one may die", () =>
  withProject("api", { profiles: ["api"] }, async (project) => {
    const pool = apiPool(project);
    await project.up({ api: 3 }, "api", "cluster-operator");
    await untilWell(project);
    await pool.untilAllAnswer(120_000);
    expect(await project.exec("cluster-lb", "cat", "/var/lib/sluice/haproxy.cfg")).toMatch(
      /^backend api .*\n( .*\n)* +balance leastconn$/m,
    );

    // One whose check fails is out, though its container and its agent run; then it is back.
    const [failing, ...others] = await project.running("api");
    if (failing === undefined) throw new Error("no api");
    await supervisor(failing, "stop");
    await eventually(
      "it is in traffic no more",
      async () => !(await inTraffic(pool)).includes(pool.serverOf(failing)),
      latestMs,
    );
    expect(await pool.names(12)).toEqual(others.map(({ hostname }) => hostname).sort());
    await supervisor(failing, "start");
    await pool.untilShown([failing, ...others]);
    await pool.untilAllAnswer();

    const load = startLoad({
      port: project.ports.clusterHttp,
      path: "/hostname",
      keepAlive: 8,
      oneShot: 8,
      pauseMs: 10,
    });
    const figures: string[] = [];
    try {
      await project.scale("api", 4);
      figures.push(`3 to 4 with all servers ${await pool.untilAllAnswer()} ms after the scale returned`);
      await project.scale("api", 3);
      await pool.untilShown(await pool.running());

      for (const victim of await leaderFirst(project)) {
        const leads = victim === (await leader(project));
        const { id } = await project.container(victim);
        await docker(["kill", "--signal=KILL", id]);
        await sleep(2_000);
        await project.scale("api", 4);
        const took = await pool.untilAllAnswer();
        figures.push(`without ${victim}${leads ? ", the leader," : ""} ${took} ms`);
        await project.scale("api", 3);
        await pool.untilShown(await pool.running());
        await docker(["start", id]);
        await untilWell(project);
        expect({ victim, failures: load.report().failures }).toEqual({ victim, failures: [] });
      }
    } finally {
      printLoad("world B", await load.stop(), ...figures);
    }
    expect(load.report().failures).toEqual([]);
    expect(figures[1]).toContain("the leader");
  }));

/**
 * Waits until all three servers are well and have a vote, as the cluster says of itself
 * (https://developer.hashicorp.com/consul/api-docs/operator/autopilot#read-the-autopilot-health). The leader takes one that
 * is dead out of the cluster; when it is back it gets its vote 10 s later, and until then the two others are all there is.
 */
async function untilWell(project: ComposeProject): Promise<void> {
  interface Server {
    readonly Healthy: boolean;
    readonly Voter: boolean;
  }
  await eventually(
    "three Consul servers are well",
    async () => {
      const { status, body } = await consul(project, "/v1/operator/autopilot/health");
      if (status !== 200) return false;
      const { Servers: found } = JSON.parse(body) as { readonly Servers: readonly Server[] };
      return found.length === 3 && found.every(({ Healthy, Voter }) => Healthy && Voter);
    },
    120_000,
  );
}

/** The service of compose.yml that leads the cluster. */
async function leader(project: ComposeProject): Promise<string> {
  const address = JSON.parse((await consul(project, "/v1/status/leader")).body) as string;
  for (const name of servers) {
    if (address === `${(await project.container(name)).address}:8300`) return name;
  }
  throw new Error(`no server has the leader's address, ${address}`);
}

async function leaderFirst(project: ComposeProject): Promise<readonly string[]> {
  const first = await leader(project);
  return [first, ...servers.filter((name) => name !== first)];
}

function consul(project: ComposeProject, path: string) {
  return ask(project.ports.clusterConsul, { path });
}

function supervisor({ id }: Container, what: "start" | "stop"): Promise<string> {
  return docker(["exec", id, "supervisorctl", "-c", "/etc/supervisor/supervisord.conf", what, "api"]);
}

/** The servers that HAProxy gives requests to. */
async function inTraffic(pool: ComposePool): Promise<readonly string[]> {
  return (await pool.rows()).filter(({ status }) => status.startsWith("UP")).map(({ server }) => server);
}

function apiPool(project: ComposeProject): ComposePool {
  const { clusterHttp: traffic, clusterStats: stats } = project.ports;
  const nameIn = (body: string) => (JSON.parse(body) as { readonly hostname: string }).hostname;
  return new ComposePool(project, { service: "api", port: 5000, path: "/hostname", traffic, stats, nameIn });
}
