import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { wordsNotDynamic } from "../../src/haproxy/plan/dynamic.ts";
import type { RuntimeClient } from "../../src/haproxy/runtime/client.ts";
import type { Capabilities } from "../../src/haproxy/runtime/types.ts";
import { haproxyBinary } from "../support/binaries.ts";
import { type HaproxyHome, haproxyHome } from "../support/haproxy-process.ts";
import { socketCommand } from "../support/sluice.ts";

/** What Sluice knows of HAProxy's versions, asked of the one at hand; `npm run test:versions` asks each in turn. */

let home: HaproxyHome;
let runtime: RuntimeClient;
let capabilities: Capabilities;

beforeAll(async () => {
  home = await haproxyHome();
  await home.write(`
frontend f
  bind 127.0.0.1:${home.port}
  default_backend b
backend b
  balance roundrobin
backend ring
  balance uri
  hash-type consistent
backend fixed
  balance uri
  server s 127.0.0.1:1 check inter 1h
resolvers names
  nameserver one 127.0.0.1:53`);
  await home.managed().adoptOrStart();
  runtime = home.runtime();
  capabilities = await runtime.reconnect();
}, 60_000);

afterAll(() => home.remove(), 60_000);

test("what runs is the binary that was named", () => {
  const { stdout } = spawnSync(haproxyBinary, ["-v"], { encoding: "utf8" });
  expect(stdout).toContain(`HAProxy version ${capabilities.versionText} `);
});

describe("words of a server that is added at run time", () => {
  test.each([
    // Those the table has a version or a refusal for.
    "shard 1",
    "cookie c",
    "guid g1",
    "hash-key id",
    "pool-conn-name str(x)",
    "set-proxy-v2-tlv-fmt(0x20) %[str(x)]",
    "init-state up",
    "strict-maxconn",
    "idle-ping 5s",
    "check-reuse-pool",
    "init-addr last",
    "resolvers names",
    "resolve-prefer ipv4",
    "resolve-opts allow-dup-ip",
    "resolve-net 10.0.0.0/8",
    "redir http://example.com",
    "namespace n",
    "socks4 127.0.0.1:1",
    "log-proto legacy",
    "non-stick",
    "no-check",
    "no-ssl",
    "tcp-ut 1s",
    "max-reuse 5",
    // Those it lets pass.
    "id 4711",
    "check inter 1s fastinter 1s downinter 1s rise 2 fall 2",
    "check port 81 addr 127.0.0.2",
    "check observe layer7 error-limit 5 on-error mark-down",
    "check on-marked-down shutdown-sessions on-marked-up shutdown-backup-sessions",
    "ssl verify none check check-ssl check-alpn http/1.1 check-sni a.example",
    "ssl verify none sni str(a.example) alpn h2,http/1.1 ssl-min-ver TLSv1.2",
    "proto h2",
    "send-proxy check check-send-proxy",
    "send-proxy-v2",
    "send-proxy-v2 proxy-v2-options unique-id",
    "maxconn 10 minconn 5 maxqueue 3",
    "slowstart 5s",
    "backup",
    "track fixed/s",
    "pool-low-conn 2 pool-max-conn 5 pool-purge-delay 1s",
    "source 127.0.0.1",
    "tfo",
    "ws h1",
    "agent-check agent-port 99 agent-inter 1s agent-addr 127.0.0.1",
  ])("%s: accepted just where the table says so", async (text) => {
    const options = text.split(" ");
    const expected = wordsNotDynamic(options, capabilities);
    const [result] = await runtime.apply([
      {
        kind: "add-server",
        backend: "b",
        server: text.replace(/[^a-z0-9]+/g, "_"),
        address: "127.0.0.1",
        port: 80,
        weight: 1,
        options,
        check: false,
      },
    ]);
    expect({ text, result }).toEqual({
      text,
      result: expected === undefined ? { ok: true } : expect.objectContaining({ ok: false }),
    });
  });
});

describe("the ways to balance", () => {
  const add = (backend: string, id: string) => command(`add server ${backend}/t 127.0.0.1:1${id}`);

  test("a ring takes servers, a table does not", async () => {
    expect(await add("ring", " id 77")).toContain("New server registered.");
    // 3.4 has other words for it.
    expect(await add("fixed", "")).toMatch(/dynamic load balancing|non dynamic/);
  });
});

test("the words of a command beyond the 64th are dropped in silence up to 3.0, and refused from 3.2 on", async () => {
  const many = Array.from({ length: 40 }, () => "weight 1").join(" ");
  const answer = await command(`add server b/many 127.0.0.1:1 ${many} no-such-word`);
  const [major, minor] = capabilities.version;
  if (major === 2 || minor < 2) expect(answer).toContain("New server registered.");
  else expect(answer).toContain("at most 64 arguments");
});

test("the words of the master's reload", async () => {
  const answer = await socketCommand(home.masterSocket, "reload");
  if (capabilities.version[0] < 3) expect(answer).toBe("");
  else expect(answer).toMatch(/^Success=1\n--\n/);
});

function command(line: string): Promise<string> {
  return socketCommand(home.runtimeSocket, line);
}
