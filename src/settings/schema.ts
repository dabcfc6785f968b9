import { z } from "zod";
import { duration, durationWithin } from "./duration.ts";
import { type OptionDocument, readDocument } from "./options/read-document.ts";
import { bind, consulAddress, domain, networks, portRanges, text, word } from "./text.ts";

const consul = z.strictObject({
  address: consulAddress
    .default("http://127.0.0.1:8500")
    .describe("Where Consul's HTTP API answers; https:// for TLS, unix:///path for a socket."),
  token: text.optional().meta({ sensitive: true }).describe("ACL token. Prefer tokenFile."),
  tokenFile: text.optional().describe("File that holds the ACL token; read again when it changes."),
  datacenter: text.optional().describe("Datacenter to ask; the agent's own where it is not set."),
  tls: z
    .strictObject({
      ca: text.optional().describe("PEM file of the authority that signed Consul's certificate."),
      cert: text.optional().describe("PEM file of the client certificate."),
      key: text.optional().describe("PEM file of the client certificate's key."),
      serverName: text.optional().describe("Name expected in Consul's certificate."),
    })
    .prefault({}),
  wait: durationWithin({ minMs: 1_000, maxMs: 600_000 })
    .default(55_000)
    .describe("How long Consul may hold a blocking query, 1s to 10m."),
  connections: z
    .union([z.literal("auto"), z.coerce.number().int().min(2)])
    .default("auto")
    .describe(
      "Most connections to Consul. auto: the agent's limit less a reserve of 20, where it may be read, else 180.",
    ),
});

const haproxy = z
  .strictObject({
    mode: z
      .enum(["managed", "external"])
      .default("managed")
      .describe(
        "managed: Sluice starts and adopts HAProxy. external: somebody else starts it, with its master's socket in the state directory; see docs/external.md.",
      ),
    binary: text
      .default("haproxy")
      .describe(
        "The haproxy binary, 2.6 or newer. It judges configurations, so that in external mode too it has to be there, of the version that runs.",
      ),
    directory: text
      .default("/var/lib/sluice")
      .describe("State directory: haproxy.cfg, maps, sockets, last good snapshot."),
    reload: z
      .enum(["master", "sf"])
      .default("master")
      .describe(
        "How a reload is done. master: through the master CLI. sf: a new process with -sf and the listeners of the old one (managed mode only).",
      ),
    onStop: z
      .enum(["leave", "stop"])
      .default("leave")
      .describe("What happens to HAProxy when Sluice stops; stop in managed mode only."),
    drainTimeout: duration
      .default(30_000)
      .describe("How long a leaving server may finish its connections before they are shut."),
  })
  .refine(({ mode, onStop }) => mode === "managed" || onStop === "leave", {
    path: ["onStop"],
    error: "for haproxy.mode: managed alone: who has started HAProxy ends it",
  })
  .refine(({ mode, reload }) => mode === "managed" || reload === "master", {
    path: ["reload"],
    error: "for haproxy.mode: managed alone: who has started HAProxy reloads it, through its master",
  });

const http = z.strictObject({
  bind: bind.default(":80").describe("Address of the HTTP entry point; several, separated by a comma."),
  domain: domain.default("service.local").describe("A service answers at <service>.<domain>."),
  defaultService: text
    .optional()
    .describe(
      "Service that gets what no route matches, unless it is guarded (`auth`, `allow`, `deny`); not set: the 404 page.",
    ),
  trustedProxies: networks
    .optional()
    .describe(
      "Networks of proxies before HAProxy, separated by commas: their X-Forwarded headers are believed, and the client is whom they name. Not set: nobody is believed.",
    ),
  acceptProxy: networks
    .optional()
    .describe("Networks, separated by commas, whose connections begin with the PROXY protocol."),
  advertise: text
    .optional()
    .describe(
      "Address and port under which other services find HAProxy, for the tag option register; not set: the agent's address and the port of http.bind.",
    ),
});

const https = z.strictObject({
  bind: bind.optional().describe("Address of the HTTPS entry point; several, separated by a comma. Not set: none."),
  certificates: text
    .optional()
    .describe(
      "Directory of certificates in PEM: name.pem with certificate and key, name.crt beside name.key, or a directory with fullchain.pem and privkey.pem. Watched; the name a client asks for chooses.",
    ),
  default: text
    .optional()
    .describe("Name of the certificate for clients that ask for none or an unknown name; not set: the first by name."),
  minVersion: z.enum(["TLSv1.2", "TLSv1.3"]).default("TLSv1.2").describe("Least version of TLS."),
});

const tcp = z.strictObject({
  ports: portRanges
    .default("1024-65535")
    .describe("Ports that services may have opened (option listen, Fabio's :port), as ranges separated by commas."),
  bind: text.default("").describe("Address these ports are opened on; empty: all."),
});

const auth = z.strictObject({
  file: text.describe("File with lines user:hash as crypt(3) knows them (htpasswd -B, mkpasswd); watched."),
  realm: text.optional().describe("Realm browsers show; the scheme's name where it is not set."),
});

const stats = z.strictObject({
  bind: bind.default(":9000").describe("Address of HAProxy's stats page."),
  path: word
    .startsWith("/", { error: "not a path; begin it with /" })
    .default("/haproxy_stats")
    .describe("Path of HAProxy's stats page."),
  user: word
    .refine((user) => !user.includes(":"), { error: "not a user name; leave out the colon" })
    .default("admin")
    .describe("User of the stats page. Change it."),
  password: text.default("admin").meta({ sensitive: true }).describe("Password of the stats page. Change it."),
});

/** Options by key, as `haproxy.<key>` tags have them; see {@link readDocument}. */
const optionDocument = z.record(z.string(), z.unknown()).transform((document, context): OptionDocument => {
  const { options, routes, problems } = readDocument(document);
  for (const { path, problem } of problems) context.addIssue({ code: "custom", path: [...path], message: problem });
  return { options, routes };
});

const services = z.strictObject({
  expose: z
    .enum(["tagged", "all"])
    .default("tagged")
    .describe(
      "tagged: services with any haproxy.* tag or haproxy_* meta or urlprefix-* tag; all: everything but consul itself.",
    ),
  balance: text.default("roundrobin").describe("HAProxy's balance algorithm."),
  admit: z
    .enum(["auto", "at-once", "after-check"])
    .default("auto")
    .describe(
      "When a joining server takes traffic. auto: at once when a Consul check of its own vouches for it, else after HAProxy's first good check.",
    ),
  panic: z
    .enum(["refuse", "serve"])
    .default("refuse")
    .describe(
      "What a service answers whose instances are all critical by their own checks. refuse: 503; serve: it is tried all the same. A service's own tag haproxy.panic=serve or meta haproxy_panic goes before.",
    ),
  remember: duration
    .default(86_400_000)
    .describe("How long the empty backend and the routes of a service whose last instance left are kept."),
  options: z
    .record(z.string(), optionDocument)
    .default({})
    .describe(
      "Options of services, by name; `*` for all. A service's own tags and meta go before, and the key-value store before those. See docs/routing.md.",
    ),
  overrides: text
    .default("sluice/services")
    .describe("Where in Consul's key-value store the operator's overrides are: <here>/<service>. off: nowhere."),
  fabioPrefix: word.default("urlprefix-").describe("Prefix of Fabio's tags."),
  fabioSniPorts: portRanges
    .optional()
    .describe(
      "Ports, separated by commas, whose TLS connections are passed on to services by the name they ask for, where a tag of Fabio has a host and proto=tcp; not set: none.",
    ),
  address: z
    .enum(["default", "lan", "wan", "lan_ipv4", "lan_ipv6", "wan_ipv4", "wan_ipv6"])
    .default("default")
    .describe("Which of an instance's tagged addresses is used, where it has it."),
  failover: text
    .optional()
    .describe("Datacenters, separated by commas, whose instances of a service serve where none here can."),
  zone: text
    .optional()
    .describe("Zone HAProxy is in: instances whose node is in another one serve only where none of this one can."),
  zoneMeta: word.default("zone").describe("Key of a node's meta that names its zone."),
  queries: text
    .optional()
    .describe(
      "Prepared queries, separated by commas, each taken for a service of its name; they are asked every 10s, as Consul cannot tell when they change.",
    ),
});

const guard = z.strictObject({
  window: duration
    .default(30_000)
    .describe(
      "How far back losses count: those of a service that falls to zero, and those of the whole catalog, of which more than half may not go at once.",
    ),
  holdFor: duration
    .default(300_000)
    .describe("How long instances that were lost all at once are kept while they still accept a connection."),
});

/** Every setting, its default and what it means. The one source for file, environment, flags, documentation and types. */
export const settingsSchema = z.strictObject({
  consul: consul.prefault({}),
  haproxy: haproxy.prefault({}),
  template: text.optional().describe("The template of haproxy.cfg; not set: the one that comes with Sluice."),
  http: http.prefault({}),
  https: https.prefault({}),
  tcp: tcp.prefault({}),
  tls: z
    .strictObject({
      authorities: text
        .optional()
        .describe("Directory of PEM files of authorities that certificates of servers may be signed by (tls.ca)."),
    })
    .prefault({}),
  auth: z
    .record(z.string(), auth)
    .default({})
    .describe("Schemes of basic authentication by name, for the option auth."),
  accessLog: z
    .strictObject({
      format: z.enum(["off", "common", "json"]).default("off").describe("A line per request. See docs/access-log.md."),
      target: word
        .default("stdout")
        .describe(
          "Where it goes: stdout (haproxy.log in the state directory) or a syslog server such as 127.0.0.1:514.",
        ),
    })
    .prefault({}),
  stats: stats.prefault({}),
  services: services.prefault({}),
  guard: guard.prefault({}),
  reload: z
    .strictObject({
      minInterval: duration
        .default(1_000)
        .describe("Least time between two reloads; the first is done at once, what comes meanwhile is done in one."),
      hardStopAfter: duration
        .default(300_000)
        .describe("How long a worker that a reload replaced may finish its connections; what is left then is cut."),
    })
    .prefault({}),
  resync: durationWithin({ minMs: 100 })
    .default(60_000)
    .describe("How often what really runs is compared with what is wanted, at least 100ms."),
  log: z
    .strictObject({
      level: z.enum(["debug", "info", "warn", "error"]).default("info").describe("Least level that is logged."),
    })
    .prefault({}),
});

export type Settings = z.output<typeof settingsSchema>;
