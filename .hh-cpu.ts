import { spawn } from "node:child_process";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { startLoad } from "./__tests__/support/load.ts";
import { startWebInstance } from "./__tests__/support/web-instance.ts";
const web = await startWebInstance("web");
const ticks = (pid: number) => { const f = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" "); return Number(f[11]) + Number(f[12]); };
const full = readFileSync("/tmp/hh/cpu/haproxy.cfg", "utf8").replace(/ web_127\.0\.0\.1:\d+ 127\.0\.0\.1:\d+/g, ` web_x 127.0.0.1:${web.port}`).replace(/^ +(log-format|error-log-format|log stdout len).*\n/gm, "");
const lines = full.split("\n");
let inFront = false;
const cut = (drop: (line: string) => boolean) => lines.filter((line) => { if (/^\S/.test(line)) inFront = line === "frontend sluice_http"; return !(inFront && drop(line)); }).join("\n");
const start = lines.findIndex((l) => l === "frontend sluice_http");
const marker = lines.findIndex((l, i) => i > start && /acl sluice_routed/.test(l));
const clientRules = new Set(lines.slice(start + 2, marker));
const variants: [string, string][] = [
  ["full", full],
  ["no request.njk", cut((l) => /^ +(http-|acl|use_backend)/.test(l) && !clientRules.has(l)).replace(/default_backend sluice_no_route/, "default_backend web")],
  ["bare", cut((l) => /^ +(http-|acl|use_backend)/.test(l)).replace(/default_backend sluice_no_route/, "default_backend web")],
];
for (const [name, text] of [...variants, ...variants]) {
  writeFileSync("/tmp/hh/cpu/x.cfg", text);
  const fd = openSync("/tmp/hh/cpu/x.log", "w");
  const child = spawn("/usr/sbin/haproxy", ["-db", "-f", "/tmp/hh/cpu/x.cfg"], { stdio: ["ignore", fd, fd] });
  await sleep(800);
  const load = startLoad({ port: 7300, keepAlive: 16, oneShot: 0, headers: { host: "web.service.local" } });
  const t0 = ticks(child.pid!);
  await sleep(4000);
  const rep = await load.stop();
  const t1 = ticks(child.pid!);
  console.log(name, rep.sent, "failed", rep.failures.length, "µs CPU/request", Math.round(((t1 - t0) * 10_000) / rep.sent), readFileSync("/tmp/hh/cpu/x.log","utf8").slice(0,200));
  child.kill("SIGKILL"); await sleep(200);
}
await web.stop(); process.exit(0);
