import { expect, jest, test } from "@jest/globals";
import { type ComposeProject, withProject } from "../support/compose.ts";
import { docker } from "../support/docker.ts";
import { HelloCaller } from "../support/hello-client.ts";
import { eventually } from "../support/sluice.ts";
import { ask } from "../support/system.ts";

jest.setTimeout(900_000);

async function names(project: ComposeProject): Promise<readonly string[]> {
  return (await project.running("hello_server")).map(({ hostname }) => hostname).sort();
}

/** How many connections the clients of the entry point have ever opened: the stats page, as CSV (management guide 9.1). */
async function connections(project: ComposeProject): Promise<number> {
  const { body } = await ask(project.ports.clusterStats, { path: "/haproxy_stats;csv", auth: "admin:admin" });
  const [head = "", ...rows] = body.split("\n");
  const column = head.replace(/^# /, "").split(",").indexOf("conn_tot");
  const row = rows.find((line) => line.startsWith("sluice_http,FRONTEND,"));
  return Number(row?.split(",")[column]);
}

test("world D: one HTTP/2 connection sees all five servers, also while they come and go, and streams finish", async () => {
  await withProject("grpc", { profiles: ["grpc"] }, async (project) => {
    const begun = performance.now();
    await project.up({ hello_server: 5 }, "cluster-lb", "cluster-operator", "hello_server");
    const five = await names(project);
    expect(five).toHaveLength(5);

    // Until HAProxy has a server the entry point has nothing to say in gRPC.
    const waiting = new HelloCaller(project.ports.clusterHttp, 1, 0);
    try {
      await eventually("all five answer", async () => five.every((name) => waiting.answers.has(name)), 120_000);
    } finally {
      await waiting.stop();
    }
    const upSeconds = (performance.now() - begun) / 1_000;

    const before = await connections(project);
    const caller = new HelloCaller(project.ports.clusterHttp, 6, 2);
    try {
      const all = async (what: string) => {
        const counted = new Map(caller.answers);
        const wanted = await names(project);
        const seen = (name: string) => (caller.answers.get(name) ?? 0) > (counted.get(name) ?? 0);
        await eventually(what, () => wanted.every(seen), 60_000);
      };
      await all("the one connection sees all five");
      expect([...caller.answers.keys()].sort()).toEqual(five);

      // Three leave and three come, three times over.
      for (let round = 0; round < 3; round += 1) {
        await project.scale("hello_server", 2);
        await all("those that are left answer");
        await project.scale("hello_server", 5);
        expect(await names(project)).toHaveLength(5);
        await all("the new ones answer too");
      }
      // One is stopped by hand and started again: the same name at another address, maybe.
      const [first] = await project.running("hello_server");
      if (first === undefined) throw new Error("there is no hello_server");
      await docker(["stop", "-t", "30", first.id]);
      await all("the four that are left answer");
      await docker(["start", first.id]);
      await all("the one that was stopped answers again");
    } finally {
      await caller.stop();
    }
    const after = await connections(project);
    process.stdout.write(
      `gRPC in containers: five servers answer ${upSeconds.toFixed(1)} s after \`up\`; ${caller.total()} calls of which ` +
        `${caller.streams} streams over ${after - before} connection, ${caller.answers.size} servers, ` +
        `${caller.failures.length} failed\n`,
    );
    expect(caller.failures).toEqual([]);
    expect(caller.streams).toBeGreaterThan(10);
    expect(caller.answers.size).toBe(14);
    expect(after - before).toBe(1);

    // The client that comes with it prints what it is told.
    await project.scale("hello_client", 1);
    const wanted = await names(project);
    const { id } = await project.container("hello_client");
    await eventually(
      "hello_client prints all five names",
      async () => {
        const printed = await docker(["logs", id]);
        return wanted.every((name) => printed.includes(`Hello from ${name}.`)) && !printed.includes("failed");
      },
      60_000,
    );
  });
});
