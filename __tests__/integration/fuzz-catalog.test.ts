import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import fc from "fast-check";
import { readInstances } from "../../src/catalog/health.ts";
import { serviceKeyString } from "../../src/catalog/service-key.ts";
import type { CatalogService, Instance } from "../../src/catalog/types.ts";
import { parseConfig } from "../../src/haproxy/config/parse.ts";
import { planChanges } from "../../src/haproxy/plan/plan.ts";
import { isServerOperation } from "../../src/haproxy/plan/types.ts";
import { validateConfig } from "../../src/haproxy/process/validate.ts";
import { capabilitiesOf } from "../../src/haproxy/runtime/capabilities.ts";
import { serverScript } from "../../src/haproxy/runtime/commands.ts";
import type { TemplateSource } from "../../src/reconciler/ports.ts";
import { Renderer } from "../../src/render/renderer.ts";
import { loadTemplate } from "../../src/render/template-source.ts";
import type { Rendered } from "../../src/render/types.ts";
import { serverName } from "../../src/routing/names.ts";
import { createRouter } from "../../src/routing/route.ts";
import type { LoadBalancer } from "../../src/routing/types.ts";
import type { Settings } from "../../src/settings/schema.ts";
import { systemClock } from "../../src/support/clock.ts";
import { SluiceError } from "../../src/support/errors.ts";
import { canonicalIp } from "../../src/support/ip.ts";
import { haproxyBinary } from "../support/binaries.ts";
import { type HostileCatalog, hostileCatalog } from "../support/hostile-catalog.ts";
import { noMaps } from "../support/routes.ts";
import { settings as settingsOf, templateOf } from "../unit/render/fixtures.ts";

/** SLUICE_FUZZ_RUNS=20000 for a long run; SLUICE_FUZZ_SEED to repeat one. */
const runs = Number(process.env["SLUICE_FUZZ_RUNS"] ?? 300);
const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? Date.now() & 0x7fffffff);

let directory: string;
let templates: readonly { readonly name: string; readonly source: TemplateSource; readonly renderer: Renderer }[];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-fuzz-"));
  await Promise.all(["maps", "assets", "sockets"].map((name) => mkdir(join(directory, name))));
  const paths = {
    directory,
    maps: join(directory, "maps"),
    assets: join(directory, "assets"),
    runtimeSocket: join(directory, "sockets", "runtime.sock"),
  };
  const all = { "that comes with Sluice": await loadTemplate(), "that writes every name": await wordy() };
  templates = Object.entries(all).map(([name, source]) => ({ name, source, renderer: new Renderer({ paths }) }));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** Writes whatever people may name freely, through the filters that docs/template.md has for it. */
function wordy(): Promise<TemplateSource> {
  return templateOf(
    `{% include "global.njk" %}
{% include "defaults.njk" %}
{% include "stats.njk" %}
{% include "frontend-http.njk" %}
{% for e in excluded %}
  # {{ e.service | quote }} {{ e.reason | quote }}
  http-response set-header X-Left-Out {{ ("." ~ e.service ~ (e.instance or "")) | format }}
{% endfor %}
{% for b in backends %}
{{ backend(b) -}}
{% endfor %}
`,
    {
      "backend.njk": `{% from "server.njk" import server -%}
backend {{ b.name | token }}
  balance {{ b.balance | words }}
{% if b.consistent %}
  hash-type consistent
{% endif %}
{% for one in b.sources %}
  # {{ one.name | quote }} of {{ one.datacenter | quote }}
  http-response set-header X-Service {{ one.name | format }}
  acl named hdr(x-name) -m str -- {{ one.name | quote }}
{% endfor %}
{% for s in b.servers %}
  # {{ (s.node or "-") | quote }} {{ (s.instanceId or "-") | quote }}
{% for tag in s.tags %}
  # {{ tag | quote }}
  acl tagged hdr(x-tag) -m str -- {{ tag | quote }}
{% endfor %}
{% for key, value in s.meta %}
  # {{ key | quote }}: {{ (value or "-") | quote }}
  http-response set-header X-Meta {{ (key ~ "=" ~ value) | format }} if { res.hdr(x-meta) -m sub -- {{ key | quote }} }
{% endfor %}
  http-response set-header X-Tags {{ ("," ~ (s.tags | join(","))) | format }}
  http-response set-header X-Instance {{ (s.node ~ "/" ~ s.instanceId) | format }} if { srv_name -- {{ s.name | token }} }
  {{ server(b, s) }}
{% endfor %}
`,
    },
  );
}

/** Services as the catalog makes them of Consul's answers. One of which no entry can be used is left out, as it is there. */
function read({ services }: HostileCatalog): ReadonlyMap<string, CatalogService> {
  const found = new Map<string, CatalogService>();
  for (const { datacenter, name, answer } of services) {
    const key = { datacenter, name };
    try {
      const { instances } = readInstances(JSON.parse(JSON.stringify(answer)), key);
      found.set(serviceKeyString(key), { key, instances, freshness: { asOf: 0, stale: false } });
    } catch (thrown) {
      if (!(thrown instanceof SluiceError) || thrown.code !== "ERR_CONSUL_ANSWER_INVALID") throw thrown;
    }
  }
  return found;
}

/** Each instance that serves is a server, is one with another of its label and address, or is named with a reason. */
function expectNothingLost(
  services: ReadonlyMap<string, CatalogService>,
  { backends, routes, maps, excluded }: LoadBalancer,
): void {
  const carried = new Map(backends.map((backend) => [serviceKeyString(sourceOf(backend)), backend]));
  const reached = new Set([
    ...routes.flatMap(({ targets }) => targets.map(({ backend }) => backend)),
    ...maps.listeners.map(({ value }) => value.split("|")[0] ?? ""),
  ]);
  const named = (service: string, instance?: string) =>
    excluded.some((one) => one.service === service && one.instance === instance && one.reason !== "");
  for (const [key, { key: serviceKey, instances }] of services) {
    const backend = carried.get(key);
    if (backend === undefined) continue;
    const someone = excluded.some((one) => one.service === serviceKey.name);
    expect([serviceKey, reached.has(backend.name) || someone]).toEqual([serviceKey, true]);
    const names = new Set(backend.servers.map(({ name }) => name));
    for (const instance of instances) {
      if (instance.health === "critical") continue;
      const address = canonicalIp(instance.address);
      const server = address !== undefined && names.has(serverName(instance, serviceKey.name, address, instance.port));
      if (server && values(instance).some(isUncarriable)) {
        expect([instance, named(serviceKey.name, `${instance.node}/${instance.id}`)]).toEqual([instance, true]);
      }
      expect([instance, server || named(serviceKey.name, `${instance.node}/${instance.id}`)]).toEqual([instance, true]);
    }
  }
}

const values = ({ tags, meta }: Instance) => [...tags, ...Object.values(meta)];
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const isUncarriable = (text: string) => /[\x00-\x1f\x7f]/.test(text) || text.length > 50_000;

/** Exposed services that have no backend are named. */
function expectNobodyLost(
  services: ReadonlyMap<string, CatalogService>,
  { backends, excluded }: LoadBalancer,
  { services: { expose } }: Settings,
): void {
  const carried = new Set(backends.map((backend) => serviceKeyString(sourceOf(backend))));
  const named = new Set(excluded.filter(({ instance }) => instance === undefined).map(({ service }) => service));
  for (const [key, { key: serviceKey, instances }] of services) {
    const exposed = expose === "all" ? serviceKey.name !== "consul" : instances.some(asksToBeExposed);
    if (exposed) expect([serviceKey, carried.has(key) || named.has(serviceKey.name)]).toEqual([serviceKey, true]);
  }
}

function asksToBeExposed({ tags, meta }: Instance): boolean {
  return (
    tags.some((tag) => tag.startsWith("haproxy.") || tag.startsWith("urlprefix-")) ||
    Object.keys(meta).some((key) => key.startsWith("haproxy_"))
  );
}

function sourceOf({ name, sources: [source] }: LoadBalancer["backends"][number]) {
  if (source === undefined) throw new Error(`backend ${name} has no source`);
  return source;
}

/** What opens a section or a port, told by the text alone: the templates indent all else. */
const headers = (text: string) => text.split("\n").filter((line) => /^[^\s#]/.test(line));
const binds = (text: string) => text.split("\n").filter((line) => /^\s*bind\b/.test(line));
const sections = (text: string) => parseConfig(text).sections.map(({ kind, name }) => `${kind} ${name ?? ""}`);

/** Beyond what the template alone yields there is one backend for each that is carried, a frontend for each port. */
function expectOnlyBackends(
  { text }: Rendered,
  { text: alone }: Rendered,
  { backends, listeners }: LoadBalancer,
  listens: boolean,
): void {
  const ports = listens ? listeners : [];
  const added = [
    ...backends.map(({ name }) => `backend ${name}`),
    ...ports.map(({ mode, port }) => `frontend sluice_${mode}_${port}`),
  ];
  // What comes with the first port in mode tcp.
  const always = new Set(["backend sluice_no_service"]);
  const more = beyond(headers(text), headers(alone)).map((line) =>
    line.replace(/ from sluice_backend_(http|tcp)$/, ""),
  );
  expect(more.filter((line) => !always.has(line)).sort()).toEqual([...added].sort());
  // And as our own parser sees it.
  const parsed = beyond(sections(text), sections(alone));
  expect(parsed.filter((section) => !always.has(section)).sort()).toEqual([...added].sort());
  expect(beyond(binds(text), binds(alone))).toEqual(ports.map(({ port }) => `  bind :${port}`));
}

/** Those of a list that are not in another, each as often as it is there more. */
function beyond(all: readonly string[], known: readonly string[]): readonly string[] {
  const left = [...known];
  return all.filter((one) => {
    const at = left.indexOf(one);
    if (at !== -1) left.splice(at, 1);
    return at === -1;
  });
}

/**
 * What our own template says of services: directives it is known to write, each with as many words as it has, so that no
 * value of the catalog adds a condition, an action or a line.
 */
function expectPlainLines({ text }: Rendered, { backends }: LoadBalancer): void {
  const known = new Map(backends.map((one) => [one.name, one]));
  for (const { kind, name = "", lines } of parseConfig(text).sections) {
    const backend = kind === "backend" ? known.get(name) : undefined;
    if (backend === undefined) continue;
    for (const { raw, words } of lines) {
      if (words.length === 0) {
        expect(raw).toMatch(/^\s*(# The cookie holds .*)?$/);
        continue;
      }
      const form = directives.find(([start]) => words.join(" ").startsWith(start));
      expect([raw, form?.[0]]).toEqual([raw, expect.any(String)]);
      const count = form?.[1];
      if (count !== undefined) expect([raw, words.length]).toEqual([raw, count]);
      if (words[0] === "balance") expect(words.slice(1).join(" ")).toBe(backend.balance);
      if (words[0] === "server") expect(raw).toMatch(plainServer);
    }
  }
}

const plainServer =
  /^ {2}server [\w.:-]+ ([\d.]+|\[[0-9a-f:.]+\]):\d+ weight \d+( id \d+)?( maxconn \d+)?( backup)?( send-proxy(-v2)?)?( ssl [\w .()@,-]+| proto h2)?$/;

/** How a line begins, and how many words it has where that is always the same. */
const directives: readonly (readonly [string, number?])[] = [
  ["balance "],
  ["hash-type consistent", 2],
  ["retries ", 2],
  ["timeout ", 3],
  ["default-server no-check", 2],
  ["default-server inter ", 3],
  ["option httpchk", 2],
  ["option tcp-check", 2],
  ["http-check send meth ", 11],
  ["http-check expect status ", 4],
  ["tcp-check send-binary ", 3],
  ["tcp-check expect rbinary ", 4],
  ["use-server ", 8],
  ["cookie ", 7],
  ["dynamic-cookie-key ", 2],
  ["compression algo gzip", 3],
  ["compression type "],
  ["http-request set-header ", 4],
  ["http-request add-header ", 4],
  ["http-request del-header ", 3],
  ["http-response set-header ", 4],
  ["http-response add-header ", 4],
  ["http-response del-header ", 3],
  ["server "],
];

/** Rows of one line each; what a route leads to first is a backend that is there. */
function expectMaps({ maps }: Rendered, { backends, maps: wanted }: LoadBalancer): void {
  const names = new Set(backends.map(({ name }) => name));
  for (const [file, text] of maps) {
    const lines = text === "" ? [] : text.slice(0, -1).split("\n");
    const rows = wanted[basename(file, ".map") as keyof typeof wanted] ?? [];
    expect([file, lines.length]).toEqual([file, rows.length]);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    for (const line of lines) expect(line).toMatch(/^[^\s\x00-\x1f#][^\s\x00-\x1f]* [^\x00-\x1f]+$/);
  }
  for (const { value } of wanted.routes) expect(names).toContain(value.split("|")[0]);
}

const capabilities = [capabilitiesOf("2.6.12", ""), capabilitiesOf("3.2.0", " wait \n add backend \n")];

/** From empty backends to these, and back: each command is one line of one command, and plain. */
function expectPlainCommands({ text, maps }: Rendered): number {
  const full = parseConfig(text);
  const empty = parseConfig(text.replace(/^ +server .*\n/gm, ""));
  let commands = 0;
  for (const [current, wanted] of [
    [empty, full],
    [full, empty],
  ] as const) {
    for (const version of capabilities) {
      const plan = planChanges({
        current: { config: current, maps },
        wanted: { config: wanted, maps },
        capabilities: version,
        leaving: new Map(),
      });
      for (const operation of plan.operations) {
        if (!isServerOperation(operation)) throw new Error("the maps are the same");
        const script = serverScript(operation, version);
        if (!script.ok) throw new Error(`${script.command}: ${script.answer}`);
        for (const { line } of script.steps) expect(line).toMatch(/^[\w .:/[\]@(),-]+$/);
        commands += script.steps.length;
      }
    }
  }
  return commands;
}

const written = new Set<string>();

/** Maps are the same for all templates; a file of the template is named by its content. */
async function writeFiles({ maps, assets }: Rendered): Promise<void> {
  for (const [file, text] of maps) await writeFile(file, text);
  for (const [file, text] of assets) {
    if (!written.has(file)) await writeFile(file, text);
    written.add(file);
  }
}

/** Two registrations of one address have one cookie, and lead to the same place: HAProxy warns of it, and is right. */
const sameCookies = /^(We generated two equal cookies|Please change the secret key for)/;

async function check({ text }: Rendered, name: string, file: string): Promise<void> {
  await writeFile(file, text);
  const verdict = await validateConfig({ binary: haproxyBinary, file, clock: systemClock });
  const said = verdict.ok
    ? verdict.warnings.filter((warning) => !sameCookies.test(warning))
    : verdict.problems.map(({ line, message }) => `${line}: ${message}`);
  if (said.length > 0) {
    throw new Error(`HAProxy does not take what the template ${name} makes: ${said.join("; ")}\n${text}`);
  }
}

test(
  `whatever Consul holds, HAProxy gets a configuration it takes, and nothing it was not meant to get (${runs} catalogs)`,
  async () => {
    const counted = { services: 0, unread: 0, backends: 0, servers: 0, routes: 0, left: 0, commands: 0, checks: 0 };
    const began = performance.now();
    const property = fc.asyncProperty(hostileCatalog, async (catalog) => {
      const settings = settingsOf(catalog.settings);
      const services = read(catalog);
      const loadBalancer = createRouter()(services, settings, new Map());
      expectNothingLost(services, loadBalancer);
      expectNobodyLost(services, loadBalancer, settings);
      counted.services += catalog.services.length;
      counted.unread += catalog.services.length - services.size;
      counted.backends += loadBalancer.backends.length;
      counted.routes += loadBalancer.routes.length;
      counted.left += loadBalancer.excluded.length;
      for (const { servers } of loadBalancer.backends) counted.servers += servers.length;
      const all: Rendered[] = [];
      for (const { source, renderer } of templates) {
        const rendered = renderer.render(loadBalancer, settings, source);
        const { defaultBackend } = loadBalancer;
        const nothing = {
          backends: [],
          routes: [],
          listeners: [],
          maps: noMaps,
          registers: [],
          excluded: [],
          ...(defaultBackend !== undefined && { defaultBackend }),
        };
        const alone = renderer.render(nothing, settings, source);
        expectOnlyBackends(rendered, alone, loadBalancer, all.length === 0);
        expectMaps(rendered, loadBalancer);
        if (all.length === 0) {
          expectPlainLines(rendered, loadBalancer);
          counted.commands += expectPlainCommands(rendered);
        }
        await writeFiles(rendered);
        all.push(rendered);
      }
      // Behind all that may fail: the next catalog writes to the same files.
      const checks = all.map((rendered, index) =>
        check(rendered, templates[index]?.name ?? "", join(directory, `${index}.cfg`)),
      );
      const failed = (await Promise.allSettled(checks)).find((one) => one.status === "rejected");
      if (failed !== undefined) throw failed.reason;
      counted.checks += checks.length;
    });
    process.stdout.write(`fuzz: seed ${seed}\n`);
    await fc.assert(property, { numRuns: runs, seed });
    const seconds = Math.round((performance.now() - began) / 1_000);
    process.stdout.write(
      `fuzz: seed ${seed}, ${runs} catalogs in ${seconds} s: ${Object.entries(counted)
        .map(([what, count]) => `${count} ${what}`)
        .join(", ")}\n`,
    );
    // A generator that makes nothing worth carrying would find nothing.
    expect(counted.servers).toBeGreaterThan(runs / 2);
  },
  60_000 + runs * 1_000,
);
