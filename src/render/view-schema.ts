import { isIP } from "node:net";
import { z } from "zod";

const name = z
  .string()
  .regex(/^[A-Za-z0-9_.:-]+$/, { error: "not a name: letters, digits and _ . : - are what it may have" });
const oneLine = z.string().refine((text) => !hasControl(text), { error: "has a control character" });

const server = z.strictObject({
  name: name.describe("Name of the server: `<label>_<address>:<port>`, made of `A-Za-z0-9_.:-`."),
  address: z
    .string()
    .refine((address) => isIP(address) !== 0, { error: "not an IP address" })
    .describe("IPv4 or IPv6 address without brackets; write it with the filter `host`."),
  port: z.number().int().min(1).max(65535).describe("1 to 65535."),
  weight: z.number().int().min(0).max(256).describe("0 to 256; 0 takes no new requests."),
  id: z
    .number()
    .int()
    .min(1)
    .max(0x7fffffff)
    .optional()
    .describe("The server's explicit id; only where `consistent` is true, and then it must be written."),
  joining: z.boolean().describe("True while it waits for HAProxy's first good check; its weight is 0 until then."),
  node: oneLine.describe("Name of the Consul node; any text."),
  instanceId: oneLine.describe("Consul's ServiceID; any text."),
  options: z
    .record(z.string(), z.unknown())
    .describe("What the instance asks for, by the keys of docs/routing.md; only what is set."),
  tags: z.array(oneLine).describe("Its tags, sorted; any text of one line: write one with the filter `quote`."),
  meta: z
    .record(z.string(), oneLine)
    .describe(
      "Its meta; any text of one line: write a value with the filter `quote`, or `token` where a name belongs.",
    ),
});

const source = z.strictObject({
  datacenter: oneLine.describe("Consul datacenter; any text."),
  partition: oneLine.optional().describe("Consul admin partition, where there is one."),
  namespace: oneLine.optional().describe("Consul namespace, where there is one."),
  peer: oneLine.optional().describe("Cluster peer it is imported from, where it is."),
  name: oneLine.describe("Name of the service as Consul has it; any text."),
});

export const backend = z.strictObject({
  name: name.describe("Name of the backend, made of `A-Za-z0-9_.:-`; never begins with `sluice_`."),
  mode: z.enum(["http", "tcp"]).describe("`http` or `tcp`."),
  balance: oneLine.describe("What stands behind `balance`: one word or several; write it with the filter `words`."),
  consistent: z
    .boolean()
    .describe("True for algorithms that hash: write `hash-type consistent`, and the servers' ids."),
  servers: z.array(server).describe("Its servers, sorted by name; may be empty."),
  sources: z.array(source).describe("The Consul services whose instances it holds."),
  options: z
    .record(z.string(), z.unknown())
    .describe("What the service asks for, by the keys of docs/routing.md; only what is set."),
  picks: z.boolean().describe("True where a route leads to some of its servers only."),
});

export const route = z.strictObject({
  host: oneLine.describe(
    "Host name in lower case, without port; empty for any; may be a pattern such as `*.example.com`.",
  ),
  path: oneLine.describe("Beginning of the path, `/` for all."),
  backend: name.describe("Name of the backend it leads to; where it leads to several, the one with the largest share."),
});

export const row = z.strictObject({ key: oneLine, value: oneLine });
const rows = z.array(row);

const listener = z.strictObject({
  port: z.number().int().min(1).max(65535).describe("1 to 65535."),
  mode: z.enum(["http", "tcp"]).describe("`http` or `tcp`."),
  sni: z.boolean().describe("True where the name TLS clients ask for tells where a connection goes."),
});

const maps = z.strictObject({
  clients: rows.describe("Rows of clients.map: whom `allow` and `deny` mean."),
  shares: rows.describe("Rows of shares.map: how a route is shared."),
  conditions: rows.describe("Rows of conditions.map, in the order they are tried: methods and headers."),
  rewrites: rows.describe("Rows of rewrites.map, in the order they are tried."),
  hosts: rows.describe("Rows of hosts.map, in the order they are tried: patterns of host names."),
  routes: rows.describe("Rows of routes.map: host and path, and what is done with a request."),
  listeners: rows.describe("Rows of listeners.map: ports and names of connections that are passed on as they are."),
});

const exclusion = z.strictObject({
  service: oneLine.describe("Name of the service as Consul has it; any text."),
  instance: oneLine.optional().describe("`<node>/<id>`; not there when the whole service is meant."),
  code: oneLine.describe(
    "What kind of problem: `address-unusable`, `port-unusable`, `name-conflict`, `host-unusable`, `duplicate`, `value-unusable`.",
  ),
  reason: oneLine.describe("What is wrong, for people."),
});

/** What a template sees: the one source for its validation, its type and its table in docs/template.md. */
export const viewSchema = z.strictObject({
  backends: z.array(backend).describe("One per service, sorted by name."),
  routes: z.array(route).describe("Hosts and paths and where they lead, sorted."),
  maps: maps.describe("What the routes are at run time: rows for `mapFile`, each with `key` and `value`."),
  listeners: z.array(listener).describe("Ports of HAProxy's own besides the HTTP entry point, sorted by port."),
  http: z
    .strictObject({
      bind: z.array(oneLine).describe("Addresses of the HTTP entry point, from the setting `http.bind`."),
      domain: oneLine.describe("A service answers at `<service>.<domain>`, from the setting `http.domain`."),
      defaultBackend: name
        .optional()
        .describe("Backend of `http.defaultService`; not there while no such service is known."),
      defaultAwaited: z
        .boolean()
        .describe(
          "Whether `http.defaultService` is set and no such service is known: what no route matches then gets the 503 page.",
        ),
      trustedProxies: z
        .array(oneLine)
        .describe("Networks whose X-Forwarded headers are believed, from the setting `http.trustedProxies`."),
      acceptProxy: z
        .array(oneLine)
        .describe("Networks that speak the PROXY protocol, from the setting `http.acceptProxy`."),
    })
    .describe("The HTTP entry point."),
  https: z
    .strictObject({
      bind: z.array(oneLine).describe("Addresses of the HTTPS entry point, from the setting `https.bind`."),
      port: z.number().int().min(1).max(65535).describe("Port of the first of them: where redirects to https lead."),
      certificates: oneLine.describe(
        "Path of the list of certificates, for `crt-list`; Sluice keeps it, and changes it at run time.",
      ),
      minVersion: oneLine.describe("Least version of TLS, from the setting `https.minVersion`."),
    })
    .optional()
    .describe("The HTTPS entry point; not there without the setting `https.bind`."),
  tcp: z
    .strictObject({
      bind: z
        .array(oneLine)
        .describe(
          "Addresses the ports of `listeners` are opened on, from the setting `tcp.bind`, IPv6 without brackets; empty: on all.",
        ),
    })
    .describe("Ports of services' own."),
  accessLog: z
    .strictObject({
      format: z.enum(["off", "common", "json"]).describe("From the setting `accessLog.format`."),
      target: oneLine.describe("`stdout` or a syslog server, from the setting `accessLog.target`."),
    })
    .describe("The access log."),
  tls: z
    .strictObject({
      authorities: z
        .array(
          z.strictObject({
            name: oneLine.describe("Name of the file, as the option `tls.ca` has it."),
            path: oneLine.describe("Path of a copy, for `ca-file`; another one when the content is another."),
          }),
        )
        .describe("Files of the directory of the setting `tls.authorities`, sorted by name."),
    })
    .describe("TLS to servers."),
  auth: z
    .array(
      z.strictObject({
        name: z
          .string()
          .regex(/^[A-Za-z0-9_-]{1,64}$/)
          .describe("Name of the scheme, as the option `auth` has it."),
        realm: oneLine.describe("What browsers show; any text."),
        users: z
          .array(
            z.strictObject({
              name: oneLine.describe("Any text; write it with the filter `quote`."),
              hash: oneLine.describe("As crypt(3) has it; write it with the filter `quote`."),
            }),
          )
          .describe("Who is let in; empty: nobody."),
      }),
    )
    .describe("Schemes of basic authentication of the setting `auth`, sorted by name."),
  stats: z
    .strictObject({
      bind: z.array(oneLine).describe("Addresses of the stats page, from the setting `stats.bind`."),
      path: oneLine.describe("Its path, from the setting `stats.path`."),
      user: oneLine.describe("Its user, from the setting `stats.user`."),
      password: oneLine.describe("Its password, from the setting `stats.password`."),
    })
    .describe("HAProxy's stats page."),
  sluice: z
    .strictObject({
      directory: oneLine.describe("The state directory, from the setting `haproxy.directory`."),
      runtimeSocket: oneLine.describe("Path of the stats socket Sluice talks to."),
      hardStopAfterMs: z
        .number()
        .int()
        .min(0)
        .describe(
          "How long a worker that a reload replaced may finish its connections, in milliseconds, from the setting `reload.hardStopAfter`. For `hard-stop-after` 0 would mean for ever: write another value then.",
        ),
      version: oneLine.describe("Sluice's version."),
    })
    .describe("What Sluice needs to find again."),
  haproxy: z
    .strictObject({ version: oneLine.describe("HAProxy's version as it tells it, for example `2.6.12-1+deb12u3`.") })
    .optional()
    .describe("Not there where HAProxy could not be asked (offline commands)."),
  excluded: z.array(exclusion).describe("What was left out of the configuration, and why."),
});

export type View = z.output<typeof viewSchema>;
export type BackendView = View["backends"][number];
/** What a backend's part sees besides the backend: all that does not grow with the fleet. */
export type Surroundings = Pick<View, "http" | "stats" | "sluice" | "haproxy" | "tls">;
function hasControl(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return /[\x00-\x1f\x7f]/.test(text);
}
