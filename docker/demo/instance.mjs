/**
 * The sample application: a web server that registers itself with Consul, as any application can, with two HTTP calls
 * and no library.
 *
 *   node docker/demo/instance.mjs NAME        CONSUL_HTTP_ADDR: Consul's address, http://127.0.0.1:8500 by default
 *
 * It listens on a free port of 127.0.0.1, registers only then, and says `ready PORT` on standard output. On SIGTERM it
 * deregisters, says `leaving`, answers for DRAIN_MS more, and ends: whoever still has its address gets answers. On
 * SIGINT, or when its standard input ends because whoever started it is gone, it ends at once.
 */
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const name = process.argv[2] ?? "web-1";
const consul = process.env["CONSUL_HTTP_ADDR"] ?? "http://127.0.0.1:8500";
const drainMs = Number(process.env["DRAIN_MS"] ?? 3000);
/** How often, and how far apart, registration is tried: Consul may start later than its applications. */
const attempts = 100;
const pauseMs = 100;

const server = createServer((request, response) => {
  response.setHeader("content-type", "text/plain; charset=utf-8");
  response.end(request.url === "/health" ? "ok\n" : `Hello from ${name}\n`);
});

server.listen(0, "127.0.0.1", async () => {
  const { port } = server.address();
  await register(port);
  console.log(`ready ${port}`);
});

process.on("SIGTERM", leave);
process.on("SIGINT", () => process.exit(0));
process.stdin.on("end", () => process.exit(0)).resume();

async function register(port) {
  const registration = {
    Name: "web",
    ID: name,
    Address: "127.0.0.1",
    Port: port,
    Tags: ["haproxy.enable=true"],
    // It listens already, so it may say so; else it would be critical until Consul's first check.
    Check: { HTTP: `http://127.0.0.1:${port}/health`, Interval: "1s", Timeout: "1s", Status: "passing" },
  };
  for (let attempt = 1; ; attempt += 1) {
    try {
      await put("/v1/agent/service/register?replace-existing-checks=true", registration);
      return;
    } catch (error) {
      if (attempt === attempts) {
        console.error(`${name}: cannot register with Consul at ${consul}: ${error}`);
        process.exit(1);
      }
      await sleep(pauseMs);
    }
  }
}

async function leave() {
  try {
    await put(`/v1/agent/service/deregister/${encodeURIComponent(name)}`);
  } catch (error) {
    console.error(`${name}: cannot deregister from Consul at ${consul}: ${error}`);
  }
  console.log("leaving");
  await sleep(drainMs);
  process.exit(0);
}

async function put(path, body) {
  const response = await fetch(consul + path, {
    method: "PUT",
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(5000),
  });
  if (!response.ok) throw new Error(`status ${response.status}: ${await response.text()}`);
}
