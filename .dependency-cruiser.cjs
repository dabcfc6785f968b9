/**
 * Who may import whom. The build fails on a breach.
 *
 * Type-only imports count like any other: the parser used here sees them and does not tell them apart. What a folder
 * may take only the types of is therefore named by file: `types.ts`, `ports.ts` and `settings/schema.ts` are where
 * contracts live.
 */

const folder = (name) => `^src/${name}/`;
const typesOf = (name) => `^src/${name}/types[.]ts$`;

const settings = "^src/settings/schema[.]ts$";
const ports = "^src/reconciler/ports[.]ts$";
/** What a service may say of itself: one table for tags, meta, overrides and settings. */
const options = folder("settings/options");
const serviceKey = "^src/catalog/service-key[.]ts$";
const support = folder("support");

/** No file system, network, process or clock: the same input gives the same output. */
const pureFolders = ["guard", "routing", "haproxy/config", "haproxy/plan"];
const pureContracts = [settings, options, support, serviceKey, typesOf("catalog"), ...pureFolders.map(typesOf)];
/** What the reconciler tells about itself; the admin API passes it on. */
const reconcilerTold = "^src/reconciler/(status|events)[.]ts$";
/** What `why` answers; the admin API passes it on. */
const explained = "^src/routing/explain-(request|service)[.]ts$";
/** How a snapshot is written down. The store keeps it. */
const snapshotFile = "^src/catalog/snapshot-file[.]ts$";
/** How Consul's HTTP API is reached: address, token, TLS. */
const consulAccess = "^src/catalog/(endpoint|token|tls-options)[.]ts$";
/** What a server is called on the stats page. */
const serverNames = "^src/routing/names[.]ts$";
const haproxyTypes = ["haproxy/config", "haproxy/plan", "haproxy/runtime", "haproxy/process"].map(typesOf);

/** What each folder may import besides itself. `cli`, `operator.ts` and `main.ts` follow below. */
const layers = {
  support: [],
  settings: [support],
  catalog: [support, settings, options, ports],
  guard: pureContracts,
  routing: pureContracts,
  "haproxy/config": pureContracts,
  "haproxy/plan": [...pureContracts, folder("haproxy/config"), typesOf("haproxy/runtime"), typesOf("render")],
  "haproxy/runtime": [support, settings, ports, folder("haproxy/config"), typesOf("haproxy/plan")],
  "haproxy/process": [support, settings, ports, folder("haproxy/config"), folder("haproxy/runtime")],
  render: [support, settings, ports, folder("haproxy/config"), typesOf("routing"), typesOf("catalog")],
  store: [
    support,
    settings,
    ports,
    serviceKey,
    snapshotFile,
    ...["catalog", "guard", "routing", "render"].map(typesOf),
    ...haproxyTypes,
  ],
  reconciler: [
    support,
    settings,
    serviceKey,
    ...["guard", "routing", "haproxy/plan", "haproxy/config"].map(folder),
    ...["catalog", "render", "haproxy/runtime", "store"].map(typesOf),
  ],
  certificates: [support, settings, ports, folder("haproxy/plan"), typesOf("render")],
  registration: [support, folder("settings"), typesOf("catalog"), consulAccess, serverNames],
  admin: [
    support,
    settings,
    ports,
    reconcilerTold,
    explained,
    ...["catalog", "certificates", "guard", "routing", "render", "store"].map(typesOf),
    ...haproxyTypes,
  ],
  dashboard: ["^src/admin/contract[.]ts$"],
};

/** The one home of each outside package. A package that is not named here may not be imported at all. */
const packageHomes = {
  axios: ["admin", "cli", "registration"],
  commander: ["cli"],
  consul: ["catalog", "registration"],
  fastify: ["admin"],
  nunjucks: ["render"],
  pino: ["support"],
  "pino-pretty": ["support"],
  preact: ["dashboard"],
  "prom-client": ["admin"],
  uplot: ["dashboard"],
  yaml: ["settings"],
  // Data is checked where it comes in.
  zod: ["settings", "catalog", "render", "store", "registration", "admin", "cli"],
};

const layerRules = Object.entries(layers).map(([name, allowed]) => ({
  name: `layer-${name.replace("/", "-")}`,
  severity: "error",
  comment: `src/${name} may import only what its layer allows; see the table in .dependency-cruiser.cjs.`,
  from: { path: folder(name) },
  to: { path: "^src/", pathNot: [folder(name), ...allowed] },
}));

const packageRules = Object.entries(packageHomes).map(([name, homes]) => ({
  name: `package-${name}`,
  severity: "error",
  comment: `${name} is imported in ${homes.map((home) => `src/${home}`).join(", ")} only.`,
  from: { path: "^src/", pathNot: homes.map(folder) },
  to: { path: `^node_modules/${name}/` },
}));

const outside = ["npm", "npm-dev", "npm-optional", "npm-peer", "npm-bundled", "npm-no-pkg", "npm-unknown"];

module.exports = {
  forbidden: [
    ...layerRules,
    ...packageRules,
    {
      name: "no-cycle",
      severity: "error",
      comment: "No import cycles, types included.",
      from: { path: "^src/" },
      to: { circular: true },
    },
    {
      name: "pure-no-io",
      severity: "error",
      comment: "Pure folders import of Node only what computes: crypto (digests) and util.",
      from: { path: pureFolders.map(folder) },
      to: { dependencyTypes: ["core"], pathNot: "^(node:)?(crypto|util)$" },
    },
    {
      name: "pure-no-package",
      severity: "error",
      comment: "Pure folders import no outside package.",
      from: { path: pureFolders.map(folder) },
      to: { dependencyTypes: outside },
    },
    {
      name: "pure-no-time",
      severity: "error",
      comment: "Pure folders are told the time and do not log; they take neither a clock nor a logger.",
      from: { path: pureFolders.map(folder) },
      to: { path: "^src/support/(clock|logger)[.]ts$" },
    },
    {
      name: "contracts-stay-contracts",
      severity: "error",
      comment:
        "types.ts and ports.ts refer to contracts alone, so that whoever may see a type gets no more than types.",
      from: { path: ["^src/.+/types[.]ts$", ports] },
      to: {
        path: "^src/",
        pathNot: [
          "/types[.]ts$",
          ports,
          settings,
          "^src/settings/options/table[.]ts$",
          "^src/support/(clock|logger|errors|secret)[.]ts$",
        ],
      },
    },
    {
      name: "root-is-not-imported",
      severity: "error",
      comment: "Only main and cli import the composition root.",
      from: { path: "^src/", pathNot: ["^src/(main|operator)[.]ts$", folder("cli")] },
      to: { path: "^src/operator[.]ts$" },
    },
    {
      name: "cli-is-not-imported",
      severity: "error",
      comment: "Only main imports the commands.",
      from: { path: "^src/", pathNot: ["^src/main[.]ts$", folder("cli")] },
      to: { path: folder("cli") },
    },
    {
      name: "dashboard-is-not-imported",
      severity: "error",
      comment: "The dashboard is built on its own and reaches the operator through the admin API alone.",
      from: { path: "^src/", pathNot: folder("dashboard") },
      to: { path: folder("dashboard") },
    },
    {
      name: "main-is-not-imported",
      severity: "error",
      comment: "main.ts runs when it is loaded.",
      from: { path: "^src/" },
      to: { path: "^src/main[.]ts$" },
    },
    {
      name: "main-stays-thin",
      severity: "error",
      comment: "main.ts turns argv into a command and an exit code; all else is behind cli.",
      from: { path: "^src/main[.]ts$" },
      to: { path: "^src/", pathNot: [folder("cli"), support] },
    },
    {
      name: "package-without-home",
      severity: "error",
      comment: "Each outside package has one home; give it one in .dependency-cruiser.cjs.",
      from: { path: "^src/" },
      to: {
        dependencyTypes: outside,
        pathNot: Object.keys(packageHomes).map((name) => `^node_modules/${name}/`),
      },
    },
    {
      name: "processes-in-two-places",
      severity: "error",
      comment: "Programs are started by haproxy/process and by the register wrapper alone.",
      from: { path: "^src/", pathNot: [folder("haproxy/process"), folder("registration")] },
      to: { path: "^(node:)?child_process$" },
    },
    {
      name: "sources-only",
      severity: "error",
      comment: "Sources do not import tests, builds or tools.",
      from: { path: "^src/" },
      to: { path: "^(__tests__|dist|docker)/" },
    },
    {
      name: "resolvable",
      severity: "error",
      comment: "What is imported must be there.",
      from: { path: "^src/" },
      to: { couldNotResolve: true },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    moduleSystems: ["es6"],
    enhancedResolveOptions: {
      extensions: [".ts", ".js"],
      exportsFields: ["exports"],
      conditionNames: ["import", "node"],
    },
    doNotFollow: { path: "^node_modules/" },
  },
};
