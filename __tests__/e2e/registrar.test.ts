import { expect, jest, test } from "@jest/globals";
import { type ComposeProject, withProject } from "../support/compose.ts";
import { type Container, docker } from "../support/docker.ts";
import { dockerSocket } from "../support/docker-socket.ts";
import { type Load, startLoad } from "../support/load.ts";
import { eventually } from "../support/sluice.ts";
import { ask } from "../support/system.ts";

jest.setTimeout(900_000);

const host = "simple.service.local";
const rounds = 40;

/** Waits until these answer and no others do. */
async function onlyAnswer(project: ComposeProject, wanted: readonly Container[], limitMs = 60_000): Promise<void> {
  const names = wanted.map(({ hostname }) => hostname).sort();
  const answerers = async () => {
    const found = new Set<string>();
    for (let request = 0; request < 3 * names.length; request += 1) {
      const { status, body } = await ask(project.ports.http, { host });
      found.add(status === 200 ? body.trim() : String(status));
    }
    return [...found].sort();
  };
  await eventually(`${names} answer alone`, async () => (await answerers()).join() === names.join(), limitMs);
}

/** An instance in Consul's catalog. It has other indexes when it was registered anew, or as something else. */
interface Entry {
  readonly ServiceID: string;
  readonly ServiceAddress: string;
  readonly ServicePort: number;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
}

async function consul<T>(project: ComposeProject, path: string): Promise<T> {
  const { status, body } = await ask(project.ports.consul, { path });
  if (status !== 200) throw new Error(`Consul answered ${path} with ${status}`);
  return JSON.parse(body) as T;
}

async function registered(project: ComposeProject): Promise<readonly Entry[]> {
  return (await consul<readonly Entry[]>(project, "/v1/catalog/service/simple"))
    .map(({ ServiceID, ServiceAddress, ServicePort, CreateIndex, ModifyIndex }) => {
      return { ServiceID, ServiceAddress, ServicePort, CreateIndex, ModifyIndex };
    })
    .sort((a, b) => (a.ServiceID < b.ServiceID ? -1 : 1));
}

const ids = (entries: readonly Entry[]) => entries.map(({ ServiceID }) => ServiceID).join();

/** What the checks of all instances say. */
async function checks(project: ComposeProject): Promise<string> {
  const path = "/v1/health/service/simple";
  const entries = await consul<readonly { Checks: readonly { CheckID: string; Status: string }[] }[]>(project, path);
  const texts = entries.flatMap(({ Checks }) => Checks.map(({ CheckID, Status }) => `${CheckID} ${Status}`));
  return texts.sort().join();
}

/** Numbers from 0 to 1, the same ones in each run (Park and Miller's generator). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** The containers of `simple`, of which at least one serves at any time. */
class Herd {
  readonly done = { killed: 0, stopped: 0, started: 0 };
  /** From `docker start` to the first answer, ms. */
  readonly toServe: number[] = [];
  readonly serving: Container[];
  private readonly ended: Container[] = [];
  private readonly load: Load;
  private readonly next = random(7);

  constructor(all: readonly Container[], load: Load) {
    this.serving = [...all];
    this.load = load;
  }

  /** One or two end, at once or as `docker stop` does it; of those that have ended one or two are started, and waited for. */
  async round(): Promise<void> {
    const ends = Math.min(this.serving.length - 1, 1 + this.below(2));
    await Promise.all(Array.from({ length: ends }, () => this.end()));
    const comes = 1 + this.below(2);
    await Promise.all(Array.from({ length: comes }, () => this.start()));
  }

  async startAll(): Promise<void> {
    while (this.ended.length > 0) await this.start();
  }

  /** Waits until each has answered from now on. */
  async allServe(): Promise<void> {
    await Promise.all(this.serving.map((container) => this.serves(container)));
  }

  private async end(): Promise<void> {
    const [container] = this.serving.splice(this.below(this.serving.length), 1);
    if (container === undefined) return;
    const atOnce = this.next() < 0.5;
    await docker(atOnce ? ["kill", container.id] : ["stop", "-t", "1", container.id]);
    this.done[atOnce ? "killed" : "stopped"] += 1;
    this.ended.push(container);
  }

  private async start(): Promise<void> {
    const container = this.ended.shift();
    if (container === undefined) return;
    const begun = performance.now();
    await docker(["start", container.id]);
    this.done.started += 1;
    await this.serves(container);
    this.toServe.push(performance.now() - begun);
    this.serving.push(container);
  }

  private async serves({ hostname }: Container): Promise<void> {
    const answers = () => this.load.report().bodies[`${hostname}\n`] ?? 0;
    const before = answers();
    await eventually(`${hostname} answers`, () => answers() > before, 60_000);
  }

  /** A whole number from 0 to one less. */
  private below(count: number): number {
    return Math.floor(this.next() * count);
  }
}

/** The registrar ends and comes back, and nobody can see it in Consul. */
async function registrarRestarts(project: ComposeProject): Promise<void> {
  const before = { entries: await registered(project), checks: await checks(project) };
  expect(before.entries).toHaveLength(4);
  const seen = new Set<string>();
  let restarted = false;
  const restart = project.compose("restart", "registrar").then(() => {
    restarted = true;
  });
  await eventually(
    "the registrar was started again",
    async () => {
      seen.add(await checks(project));
      return restarted;
    },
    60_000,
  );
  await restart;
  const until = performance.now() + 5_000;
  await eventually("the registrar has looked at all again", async () => {
    seen.add(await checks(project));
    return performance.now() > until;
  });
  expect([...seen]).toEqual([before.checks]);
  expect(await registered(project)).toEqual(before.entries);
}

/** A new Consul, which knows nothing, in place of the one there was. */
async function consulIsReplaced(project: ComposeProject, herd: Herd): Promise<void> {
  const before = ids(await registered(project));
  await project.compose("up", "-d", "--no-deps", "--force-recreate", "consul");
  await eventually("all are registered again", async () => ids(await registered(project)) === before, 120_000);
  await herd.allServe();
}

/** With `--ip` the containers are reached at the ports that Docker published for them. */
async function publishedPorts(project: ComposeProject, all: readonly Container[]): Promise<void> {
  const gateway = (
    await docker(["network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", `${project.name}_default`])
  ).trim();
  const other = project.with({ SLUICE_REGISTRAR_OPTIONS: `--ip ${gateway}` });
  await other.compose("up", "-d", "--no-deps", "registrar");
  const wanted = all.map(({ published }) => `${gateway}:${published["80/tcp"]}`).sort();
  await eventually(
    "all are registered by their published ports",
    async () => {
      const places = (await registered(project)).map((entry) => `${entry.ServiceAddress}:${entry.ServicePort}`);
      return places.sort().join() === wanted.join();
    },
    60_000,
  );
  await onlyAnswer(project, all);
}

test("world C: containers that know nothing are killed and started forty times, and no request is dropped", async () => {
  await withProject("registrar", { profiles: ["registrar"], environment: dockerSocket }, async (project) => {
    await project.up({ simple: 4 }, "consul", "lb", "operator", "registrar", "simple");
    const all = await project.running("simple");
    expect(all).toHaveLength(4);
    await onlyAnswer(project, all, 120_000);

    const load = startLoad({ port: project.ports.http, headers: { host }, keepAlive: 8, oneShot: 8, pauseMs: 5 });
    const herd = new Herd(all, load);
    try {
      for (let round = 0; round < rounds; round += 1) await herd.round();
      await herd.startAll();
      await registrarRestarts(project);
      await consulIsReplaced(project, herd);
    } finally {
      await load.stop();
    }
    const { sent, failures, slowestMs, bodies } = load.report();
    const { killed, stopped, started } = herd.done;
    const median = herd.toServe.sort((a, b) => a - b)[Math.floor(herd.toServe.length / 2)] ?? 0;
    process.stdout.write(
      `registrar: ${rounds} rounds, ${killed} killed, ${stopped} stopped, ${started} started, then registrar and ` +
        `Consul; ${sent} requests of 16 clients, ${failures.length} failed, slowest ${slowestMs.toFixed(0)} ms; ` +
        `from \`docker start\` to the first answer ${median.toFixed(0)} ms (median)\n`,
    );
    expect(failures).toEqual([]);
    expect(Object.keys(bodies).sort()).toEqual(all.map(({ hostname }) => `${hostname}\n`).sort());
    expect(sent).toBeGreaterThan(1_000);

    await publishedPorts(project, await project.running("simple"));

    // None is left: the page that HAProxy has for it; then one comes back.
    await docker(["stop", "-t", "1", ...all.map(({ id }) => id)]);
    await eventually(
      "the fallback page is shown",
      async () => {
        const { status, body } = await ask(project.ports.http, { host });
        return status === 503 && body.includes("<html");
      },
      60_000,
    );
    await eventually("nobody is registered", async () => (await registered(project)).length === 0, 60_000);
    const [first] = all;
    if (first === undefined) throw new Error("there was none");
    await docker(["start", first.id]);
    await onlyAnswer(project, [first]);
  });
});
