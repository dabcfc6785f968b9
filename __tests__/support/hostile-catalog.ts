// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is what HAProxy and shells take for a variable

import fc from "fast-check";
import { safeName } from "../../src/routing/names.ts";
import { metaKeyOf, type OptionKey, optionTable } from "../../src/settings/options/table.ts";

/** What a stranger may have registered, as Consul's HTTP API tells it: any text, any number. */
export interface HostileService {
  readonly datacenter: string;
  readonly name: string;
  /** Entries of `GET /v1/health/service/<name>`; most have the documented shape. */
  readonly answer: readonly unknown[];
}

export interface HostileCatalog {
  /** Unique by datacenter and name. */
  readonly services: readonly HostileService[];
  /** Settings under which it is to be carried. */
  readonly settings: { readonly services: object; readonly http: object };
}

/** Texts that mean something to HAProxy, to a template, to a shell, to a terminal or to JavaScript. */
const pointed = [
  "a\nbackend evil\n  server evil 6.6.6.6:80",
  "\r\nglobal",
  "a\0b",
  "a\tb",
  "\x1b[31m",
  'it\'s "quoted" \\',
  '"',
  "'",
  "\\",
  "a\\",
  "\\n",
  "\\x0abind :1",
  "#",
  "a #b",
  " ",
  " a ",
  "a b",
  "a;b",
  ";disable server web/x",
  "<<",
  "$HOME",
  "${HOME}",
  '"${HOME}"',
  "$(reboot)",
  "%[env(HOME)]",
  "%[src]",
  "%",
  "%%",
  "{{ 7*7 }}",
  "{% raw %}",
  "$&",
  "..",
  ".",
  "-",
  ":",
  "/",
  "a/b",
  "*",
  "@",
  "\u202egnp.exe",
  "\u2028",
  "\u0085",
  "\u00a0",
  "\ufeff",
  "\u212a",
  "\u0130",
  "é日\u{1f480}",
  "\ud800",
  "\udc80",
  "x".repeat(300),
  "é".repeat(300),
  `${"l".repeat(63)}.`.repeat(4),
  "__proto__",
  "constructor",
  "toString",
] as const;

/** Names of what is in the configuration beside services, of HAProxy's own, and words that open a section or a line. */
const taken = [
  "stats",
  "sluice_stats",
  "sluice_http",
  "sluice_no_route",
  "sluice_",
  "SLUICE_http",
  "service_http",
  "defaults",
  "global",
  "backend",
  "listen",
  "server",
  "default-server",
  "from",
  "MASTER",
  "GLOBAL",
  "<MCLI>",
  "if",
  "unless",
] as const;

/** Names that are the same to DNS, to Consul, or once they are made safe. */
const twins = [
  "web",
  "Web",
  "WEB",
  "api",
  "api.v1",
  "api-v1",
  "api_v1",
  "a?b",
  "a!b",
  "a_b",
  safeName("a b"),
  safeName("a?b"),
  safeName("sluice_http"),
] as const;

const anyText = fc.oneof(
  fc.constantFrom(...pointed),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.string({ unit: "grapheme", maxLength: 20 }),
  fc.string({ unit: fc.constantFrom(..."aB1 \t\n\"'\\#$%[]{}();:/.,-_"), maxLength: 20 }),
);

const name = fc
  .oneof(
    { weight: 3, arbitrary: fc.constantFrom(...twins) },
    { weight: 2, arbitrary: fc.constantFrom(...taken) },
    { weight: 3, arbitrary: anyText },
  )
  // Consul refuses an empty name.
  .map((text) => (text === "" ? "e" : text));

const label = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("n1", "n2", "web-1", "web-2", "web", "Web", "api") },
  fc.constantFrom(...taken),
  { weight: 2, arbitrary: anyText },
);

const address = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom("10.0.0.1", "10.0.0.2", "::1", "0:0::1", "FD00::2", "fd00::0002") },
  { weight: 2, arbitrary: fc.ipV4() },
  { weight: 2, arbitrary: fc.ipV6() },
  fc.constantFrom(
    "",
    "0.0.0.0",
    "::",
    "255.255.255.255",
    "224.0.0.1",
    "ff02::1",
    "fe80::1%eth0",
    "::ffff:10.0.0.1",
    "[::1]",
    "10.0.0.1:80",
    "010.0.0.1",
    "1.2.3",
    "0x7f.1",
    "10.0.0.1 ",
    "web.internal",
    "localhost",
    "/run/web.sock",
    "unix@/run/web.sock",
    "abns@x",
    "fd@3",
    "*",
    "10.0.0.1 weight 256",
  ),
  anyText,
);

const port = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(80, 8080, 1, 65_535) },
  { weight: 2, arbitrary: fc.integer({ min: -1, max: 70_000 }) },
  fc.constantFrom(0, -1, 65_536, 70_000, 80.5, 1e300, null, undefined),
);

const weight = fc.oneof(
  fc.constantFrom(0, 1, 2, 100, 256, 257, 65_535, -1, 1.5, 1e9, null, undefined),
  fc.integer({ min: 0, max: 65_535 }),
);

const hugeTag = "haproxy.".padEnd(100_000, "\n'\"");

/** What the other half of an option may be, whatever the key wants. */
const optionValue = fc.oneof(
  fc.constantFrom("true", "none", "host", "http", "grpc", "tcp", "off", "0", "100ms", "/a b", "X: %[env(HOME)]", "a,b"),
  fc.constantFrom(
    'X: "',
    "X: '#\\",
    "X: if { path / }",
    "-m",
    "--",
    "$x",
    "*",
    "a.example.com:8080",
    "=/x",
    "h2c",
    "v2",
  ),
  anyText,
);
/** Options of every kind: with the value its documentation has, or with any. */
const option = fc
  .constantFrom(...(Object.keys(optionTable) as OptionKey[]))
  .chain((key) =>
    fc
      .oneof({ weight: 3, arbitrary: fc.constant(optionTable[key].example) }, optionValue)
      .map((value) => [key, value] as const),
  );
const fabioTag = fc
  .tuple(
    fc.constantFrom(
      "urlprefix-/",
      "urlprefix-a.example.com/x",
      "urlprefix-*.example.com/",
      "urlprefix-:8443",
      "urlprefix-",
    ),
    fc.constantFrom(
      "",
      " strip=/x",
      " proto=tcp",
      " proto=grpc",
      " weight=0.2",
      " redirect=301,https://$host$path",
      " pxyproto=true",
    ),
    fc.oneof({ weight: 4, arbitrary: fc.constant("") }, anyText),
  )
  .map((parts) => parts.join(""));

const tag = fc.oneof(
  { weight: 30, arbitrary: fc.constantFrom("haproxy.enable=true", "urlprefix-/", "v1") },
  { weight: 40, arbitrary: option.map(([key, value]) => `haproxy.${key}=${value}`) },
  { weight: 5, arbitrary: option.map(([key, value]) => `haproxy.route.x.${key}=${value}`) },
  { weight: 10, arbitrary: fabioTag },
  { weight: 15, arbitrary: anyText.map((text) => `haproxy.${text}`) },
  { weight: 15, arbitrary: anyText },
  fc.constant(hugeTag),
);
const optionMeta = fc
  .array(option, { maxLength: 3 })
  .map((all) => Object.fromEntries(all.map(([key, value]) => [metaKeyOf(key), value])));

const status = fc.oneof(
  { weight: 6, arbitrary: fc.constant("passing") },
  fc.constantFrom("warning", "critical", "maintenance", "", "Passing", "any"),
);
const check = fc.record({
  CheckID: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom("serfHealth", "h") },
    fc.constantFrom("_node_maintenance", "_service_maintenance:web"),
    anyText,
  ),
  Status: status,
  ServiceID: fc.constantFrom(undefined, "", "web-1"),
});

const entry = (service: string) =>
  fc.record({
    Node: fc.record({ Node: label, Address: fc.oneof(address, fc.constant(null)) }),
    Service: fc.record({
      ID: label,
      // Consul looks names up without regard to case: entries of a twin may stand among them.
      Service: fc.oneof({ weight: 19, arbitrary: fc.constant(service) }, fc.constant(service.toUpperCase())),
      Address: address,
      Port: port,
      Tags: fc.oneof(fc.constantFrom(null, [], ["haproxy.enable=true"]), fc.array(tag, { maxLength: 5 })),
      Meta: fc.oneof(
        fc.constantFrom(null, {}, { haproxy_enable: "true" }),
        optionMeta,
        fc.dictionary(fc.oneof(fc.constantFrom("haproxy_x", "__proto__", "version"), anyText), anyText, { maxKeys: 3 }),
      ),
      Weights: fc.oneof(fc.constant(null), fc.record({ Passing: weight, Warning: weight })),
    }),
    Checks: fc.oneof(fc.constant(null), fc.array(check, { maxLength: 3 })),
  });

/** What no Consul answers; a proxy in between, or a version to come, may. */
const malformed = fc.oneof(
  fc.constantFrom(
    null,
    7,
    "x",
    [],
    {},
    { Node: {}, Service: {} },
    { Node: { Node: "n" }, Service: { ID: "i", Port: "80" } },
  ),
  fc.jsonValue(),
);

const service: fc.Arbitrary<HostileService> = fc
  .record({ datacenter: fc.constantFrom("dc1", "dc1", "dc1", "dc2"), name })
  .chain((key) =>
    fc
      .array(fc.oneof({ weight: 24, arbitrary: entry(key.name) }, malformed), { maxLength: 6, size: "max" })
      .map((answer) => ({ ...key, answer })),
  );

const balance = fc.constantFrom(
  "roundrobin",
  "static-rr",
  "leastconn",
  "first",
  "random",
  "random(3)",
  "source",
  "uri",
  "uri depth 3",
  "url_param userid check_post",
  "hdr(X-User)",
  "hdr(Host) use_domain_only",
  "rdp-cookie",
  "rdp-cookie(mstshash)",
  "hash req.hdr(x-user)",
);

/** A catalog of up to eight services, and settings under which it is to be carried. */
export const hostileCatalog: fc.Arbitrary<HostileCatalog> = fc.record({
  services: fc.uniqueArray(service, {
    maxLength: 8,
    size: "max",
    selector: ({ datacenter, name: one }) => `${datacenter} ${one}`,
  }),
  settings: fc.record({
    services: fc.record({
      expose: fc.constantFrom("tagged", "all", "all"),
      balance,
      admit: fc.constantFrom("auto", "at-once", "after-check"),
    }),
    http: fc.record({
      domain: fc.constantFrom("service.local", "x"),
      defaultService: fc.constantFrom("web", "a b", "none", "sluice_http"),
    }),
  }),
});
